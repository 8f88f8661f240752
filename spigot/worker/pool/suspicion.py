"""Who may have ended a pool, and with how few others such a job runs again."""

from collections.abc import Sequence
from math import ceil

from spigot.jobs.store.stored_values import stored_text
from spigot.worker.running.claimed_job import ClaimedJob

AMONG_FEW, ALONE = 1, 2

FEW = 10
"""How many suspects run in one process."""

MOST_ALONE = 8


def suspicion_of(job: ClaimedJob) -> int:
    """Return 0, ``AMONG_FEW`` or ``ALONE``."""
    stored = job.claim.fields.get(b"spigot_suspicion")
    if stored is None:
        return 0
    try:
        return int(float(stored_text(stored)))
    except (ValueError, OverflowError):
        return 0


def most_alone(concurrency: int) -> int:
    """Return how many jobs of a pool may run alone at a time: each has a process of its own."""
    return max(1, min(MOST_ALONE, concurrency // 10))


def most_groups(concurrency: int) -> int:
    """Return how many processes with few suspects a pool may have at a time."""
    return ceil(concurrency / FEW)


def suspicions(
    begun: Sequence[tuple[int, int]], culprit: int | None, concurrency: int
) -> dict[int, int]:
    """Return whom to suspect of having ended a process.

    Args:
        begun: Place and present suspicion of each attempt that had begun.
        culprit: Place that the evidence names; None without any.
        concurrency: Of the pool.
    """
    if culprit is not None and culprit in dict(begun):
        return {culprit: ALONE}
    if len(begun) <= most_alone(concurrency):
        return {place: ALONE for place, _ in begun}
    return {place: AMONG_FEW if before < AMONG_FEW else ALONE for place, before in begun}
