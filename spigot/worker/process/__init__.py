"""What a worker's process lives with: signals, and a server that may be away."""
