"""Redis: keys, and the scripts with the functions that they share."""
