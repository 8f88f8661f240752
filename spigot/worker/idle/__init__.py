"""Between two jobs: claiming the next one, and waiting for it."""
