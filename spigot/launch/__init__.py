"""Everything on one machine: the server, the web and the workers as one program."""
