"""One bucket: its rate and its file, what an operator changes, its state, the leak."""
