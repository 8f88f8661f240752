"""The routes of jobs and buckets, one module per address."""
