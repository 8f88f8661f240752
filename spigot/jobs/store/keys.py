"""The names of everything that jobs, buckets and leases are kept under in Redis.

Keys that begin with ``spigot:1:`` are ours (1 is the version of their schema); those that begin
with ``rq:`` belong to RQ and are written as RQ 2.12 writes them. ``docs/redis-keys.md`` tells
their fields, who writes them and when they go.
"""

import re

PREFIX = "spigot:1:"

PRIORITIES = ("high", "default", "low")
"""Most urgent first; each is a queue of the bucket."""

QUEUE = re.compile(r"([a-z][a-z0-9_]*)(?:-(high|low))?")
BUCKET = re.compile(r"[a-z][a-z0-9_]*")
JOB_ID = re.compile(r"[A-Za-z0-9_-]+")


def bucket(name: str) -> str:
    """Hash: settings, pacing state and hold; fields in ``docs/redis-keys.md``."""
    return f"{PREFIX}bucket:{name}"


def wake_up(name: str) -> str:
    """List with at most one token, which wakes an idle worker: it must look at the bucket."""
    return f"{PREFIX}bucket:{name}:bell"


def standby_wake_up(name: str) -> str:
    """List with at most one token, which wakes a sleeper: the bucket wants a standby."""
    return f"{PREFIX}bucket:{name}:deputy_bell"


def leases(name: str) -> str:
    """Sorted set: attempt tokens of the bucket by the millisecond at which the lease ends."""
    return f"{PREFIX}bucket:{name}:leases"


def lease(token: str) -> str:
    """Hash: what one attempt is about (``leak.lua`` writes it)."""
    return f"{PREFIX}lease:{token}"


def delayed(name: str) -> str:
    """Sorted set: ids of jobs that wait for a time, by that millisecond."""
    return f"{PREFIX}bucket:{name}:delayed"


def pollers(name: str) -> str:
    """Sorted set: the pollers, by the millisecond by which each will have looked."""
    return f"{PREFIX}bucket:{name}:waiters"


def workers(name: str) -> str:
    """Sorted set: the bucket's workers by the millisecond until which they count as alive."""
    return f"{PREFIX}bucket:{name}:workers"


def concurrency(name: str) -> str:
    """Hash: the bucket's workers that are pools, by how many jobs each runs at once."""
    return f"{PREFIX}bucket:{name}:concurrency"


def unlogged(name: str) -> str:
    """Hash: ends of attempts whose line is not yet in a result log."""
    return f"{PREFIX}bucket:{name}:unlogged"


def changes(name: str) -> str:
    """List: the last changes that operators made, newest first."""
    return f"{PREFIX}bucket:{name}:changes"


def stats(name: str) -> str:
    """Hash: counters and histograms of the bucket, for the metrics."""
    return f"{PREFIX}bucket:{name}:stats"


def history(name: str) -> str:
    """String: what the bucket did in the last 30 minutes, in cells of 5 s (``history.lua``)."""
    return f"{PREFIX}bucket:{name}:history"


def budgets(name: str) -> str:
    """Hash: what was spent and is held of each budget (``budgets.lua``)."""
    return f"{PREFIX}bucket:{name}:budgets"


def dependents(name: str) -> str:
    """Set: jobs of the bucket that ended and whose dependents nobody released yet."""
    return f"{PREFIX}bucket:{name}:dependents"


def sweep() -> str:
    """Hash: how far the search for lost jobs is (``sweep.lua`` writes it)."""
    return f"{PREFIX}sweep"


def missing() -> str:
    """Sorted set: jobs that were seen in no place, each with its state, by the ms since when."""
    return f"{PREFIX}missing"


def sought() -> str:
    """Hash: jobs that were missing for long enough, by id; they are looked for in all places."""
    return f"{PREFIX}sought"


def idempotency(key: str) -> str:
    """Hash: fingerprint and job id of the first request with this key."""
    return f"{PREFIX}idempotency:{key}"


def failures() -> str:
    """Sorted set: ids of groups of failures, by the millisecond of the last failure."""
    return f"{PREFIX}failures"


def failure(group_id: str) -> str:
    """Hash: one group of failures (``failures.lua`` writes it)."""
    return f"{PREFIX}failure:{group_id}"


def session(digest: str) -> str:
    """String: there while a session of the admin goes on."""
    return f"{PREFIX}session:{digest}"


def login_link(digest: str) -> str:
    """String: there until a link that logs the admin in is spent or too old."""
    return f"{PREFIX}login_link:{digest}"


def buckets() -> str:
    """Set: the names of all buckets."""
    return f"{PREFIX}buckets"


def never_written() -> str:
    """No key, ever: a server that would write it if it were there is asked whether it could."""
    return f"{PREFIX}never_written"


def replicated() -> str:
    """A key that is written so that replicas can be waited for."""
    return f"{PREFIX}replicated"


def probe(token: str) -> str:
    """Beginning of the keys that one probe of a user's rights writes and removes."""
    return f"{PREFIX}probe:{token}"


def aside(key: str) -> str:
    """Of any type: what lay in the place of a key that a bucket needs."""
    return f"{PREFIX}aside:{key}"


def job_events() -> str:
    """Channel: the id of each job whose state changed."""
    return f"{PREFIX}job_events"


def holds() -> str:
    """Channel: the name of each bucket that is held from now on."""
    return "rq:pubsub:spigot_holds"


def job(job_id: str) -> str:
    """Hash of RQ: the job; fields that begin with ``spigot_`` are ours."""
    return f"rq:job:{job_id}"


def queue(name: str) -> str:
    """List of RQ: the ids of waiting jobs."""
    return f"rq:queue:{name}"


def blanks(queue: str) -> str:
    """Sorted set: the places of a queue whose job was cancelled (``places.lua``)."""
    return f"{PREFIX}blanks:{queue}"


def failed(queue: str) -> str:
    """Sorted set of RQ: the ids of failed jobs, by the second until which they are kept."""
    return f"rq:failed:{queue}"


def running(queue: str) -> str:
    """Sorted set of RQ: ``ID:TOKEN`` of each attempt that runs."""
    return f"rq:wip:{queue}"


def results(job_id: str) -> str:
    """Stream of RQ: the results of a job's attempts."""
    return f"rq:results:{job_id}"


def queue_name(bucket_name: str, priority: str) -> str:
    """Return the queue that holds the bucket's jobs of ``priority``.

    Raises:
        ValueError: There is no such priority.
    """
    if priority not in PRIORITIES:
        raise ValueError(f"priority must be one of {', '.join(PRIORITIES)}, not {priority!r}")
    return bucket_name if priority == "default" else f"{bucket_name}-{priority}"


def queue_names(bucket_name: str) -> list[str]:
    """Return the bucket's three queues, most urgent first."""
    return [queue_name(bucket_name, priority) for priority in PRIORITIES]


def split_queue_name(name: str) -> tuple[str, str]:
    """Return the bucket and the priority that a queue belongs to.

    Raises:
        ValueError: No bucket has a queue of that name.
    """
    match = QUEUE.fullmatch(name)
    if match is None:
        raise ValueError(
            f"queue {name!r} belongs to no bucket: a bucket is named [a-z][a-z0-9_]* and has the "
            "queues NAME-high, NAME and NAME-low"
        )
    return match[1], match[2] or "default"
