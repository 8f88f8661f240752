"""A worker's connections to the server: each by its purpose, and why it is one of its own."""

from redis import Redis

from spigot.jobs.bucket.claim_answers import SLEEP_SECONDS
from spigot.jobs.store.replica_wait import wait_from
from spigot.runtime.server.redis_connection import sibling
from spigot.runtime.settings import Settings
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.idle.plain_push_listener import LISTEN_SECONDS
from spigot.worker.process.interruptible_redis import interruptible
from spigot.worker.rq.command_connection import connect_rqs_command

MAIN_TIMEOUT = 3.0
"""Seconds that the server may take to answer before it counts as away."""

LAST_TIMEOUT = 0.5
"""The same while the worker stops: it must end in time, whatever the server does."""

RENEWAL_TIMEOUT = 2.0
"""The same for a renewal, or a quarter of a short lease: it must be tried again in time."""

connect_rqs_command(MAIN_TIMEOUT)  # which asks a server before it makes the worker


class Connections:
    """All clients of one worker.

    A client of its own is needed where a signal is to end the wait for an answer, where the
    time-out differs, and for each thread: one that hangs must not hold up another.

    Args:
        redis: Whose address, database and credentials are taken over.
        stop: Ends the waits of those that a signal interrupts.
        settings: How long a lease stands without renewal, and how long an outcome may wait for
            replicas, while which the server is silent.

    Attributes:
        main: For what must be told to the end, such as outcomes, also after a signal.
        last: For a worker that stops, with little patience.
        claims: For asking and looking around between jobs; a signal interrupts it, and what it
            may have claimed is given back.
        wake_ups: For sleeping until a wake-up; a signal interrupts it. An answer may come as
            late as the longest sleep.
        renewals: For the thread that renews leases.
        pushes: For the thread that waits for jobs of plain RQ, as long as one look takes.
        commands: For the thread that hears RQ's commands.
        bucket_file: For the thread that publishes changes of the file of buckets.
    """

    def __init__(self, redis: Redis, stop: StopSignals, settings: Settings) -> None:
        wait = wait_from(settings)
        self.main = sibling(redis, timeout=MAIN_TIMEOUT + (wait.seconds if wait else 0))
        self.last = sibling(redis, timeout=LAST_TIMEOUT)
        self.claims = interruptible(redis, stop, timeout=MAIN_TIMEOUT)
        self.wake_ups = interruptible(redis, stop, timeout=SLEEP_SECONDS + MAIN_TIMEOUT)
        self.renewals = sibling(redis, timeout=min(RENEWAL_TIMEOUT, settings.lease_seconds / 4))
        self.pushes = sibling(redis, timeout=LISTEN_SECONDS + MAIN_TIMEOUT)
        self.commands = sibling(redis, timeout=MAIN_TIMEOUT)
        self.bucket_file = sibling(redis, timeout=MAIN_TIMEOUT)
