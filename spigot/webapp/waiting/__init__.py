"""Clients that wait for a job: long polls and streams of events, none of which takes a thread.

The plain way is a generator in the thread of its request: a process with N threads then serves N
waiting clients and nobody else. Here the socket is taken from gunicorn, and two threads
of a process serve all clients that wait, up to ``MOST_PARKED`` of ``serving/descriptors.py``.
``benchmarks/listeners.py`` measures what requests cost while clients listen.
"""
