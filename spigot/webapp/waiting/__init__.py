"""Clients that wait for a job: their connections are held without a thread each."""
