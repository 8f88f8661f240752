"""What a worker's process lives with: waits that a signal ends, and a server that may be away."""
