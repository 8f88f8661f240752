"""One job: its process, its outcome, and what follows from it."""
