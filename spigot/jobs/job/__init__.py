"""One job: its queue, its state, and everything that changes it."""
