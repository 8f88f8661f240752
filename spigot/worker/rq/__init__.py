"""RQ's view of a worker: its record, its commands, its queues."""
