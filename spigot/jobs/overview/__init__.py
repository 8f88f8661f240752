"""How the buckets are and were, in numbers and words, for pages and the terminal."""
