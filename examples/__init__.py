"""Small applications built on Spigot: each a blueprint and its job types in one file."""
