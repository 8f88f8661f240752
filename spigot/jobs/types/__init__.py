"""What an author writes: job types, their catalog, retries, refusals, progress."""
