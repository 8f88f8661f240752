"""The Redis server: where it is, how it is reached, and what is wrong with it."""
