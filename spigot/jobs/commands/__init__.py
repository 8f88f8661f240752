"""The commands ``spigot job`` and ``spigot bucket``."""

from .bucket_commands import bucket
from .bucket_emptying import drain, purge
from .bucket_steering import budget, capacity, max_running, pause, rate, release, reset, resume
from .job_commands import job

__all__ = ["bucket", "job"]

for command in (rate, capacity, max_running, budget, pause, resume, release, drain, purge, reset):
    bucket.add_command(command)
