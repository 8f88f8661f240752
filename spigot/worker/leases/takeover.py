"""Finishes what dead workers left undone: lines of the result log, and dependent jobs."""

import logging

from spigot.runtime.count_text import count_text

from .dependents import release_dependents
from .lease_answers import Reaped
from .lease_store import LeaseStore
from .result_log import ResultLog

log = logging.getLogger(__name__)


def take_over(leases: LeaseStore, result_log: ResultLog, found: Reaped) -> None:
    """Do what a reap found to do.

    Args:
        leases: On a connection of the thread that calls.
        result_log: Gets the lines that nobody wrote.
        found: What there is to do.

    Raises:
        redis.RedisError: It will be found again.
    """
    for token, line in found.lines.items():
        result_log.write(token, line)
    result_log.retry()
    if found.count:
        log.warning("%s taken from silent workers", count_text(found.count, "job was", "jobs were"))
    for text in found.brought_back:
        log.error("job %s", text)
    for fault in found.faults:
        log.error("%s", fault)
    for parent_id in found.parents:
        release_dependents(leases, parent_id)
