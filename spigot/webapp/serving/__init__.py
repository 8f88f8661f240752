"""How connections are served: no thread waits for a client."""
