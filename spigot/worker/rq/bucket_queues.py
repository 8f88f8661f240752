"""Which bucket a worker serves, from the queues it was told to listen to."""

from collections.abc import Sequence

from rq import Queue

from spigot.jobs.store import keys

Queues = str | Queue | Sequence[str | Queue]


def queue_names(queues: Queues) -> list[str]:
    """Return the names of queues that are given in any of the forms that RQ takes."""
    if isinstance(queues, str | Queue):
        queues = [queues]
    return [queue if isinstance(queue, str) else queue.name for queue in queues]


def bucket_of(names: Sequence[str]) -> str:
    """Return the bucket that all the queues belong to.

    Raises:
        ValueError: There is none, or more than one: a worker serves one bucket, so that one
            slow downstream never takes another's workers.
    """
    buckets = {keys.split_queue_name(name)[0] for name in names}
    if len(buckets) != 1:
        raise ValueError(
            f"a worker serves one bucket, but {', '.join(names) or 'no queue'} belong to "
            f"{len(buckets)}: start a worker for each"
        )
    return buckets.pop()
