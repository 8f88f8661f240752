"""Notices jobs that are pushed without waking a worker, as plain RQ does."""

import logging
import threading
import time

from redis import Redis
from redis.exceptions import RedisError

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.runtime.server.redis_connection import is_away

log = logging.getLogger(__name__)

LISTEN_SECONDS = 20
"""Longest BLMOVE. A call still pending when the worker stops polling wakes nobody."""

FIRST_PAUSE = 0.01
"""Seconds after a wake-up, in which a worker takes the job; doubled while the job still waits."""

LONGEST_PAUSE = 1.0

AWAY_SECONDS, REFUSED_SECONDS = 1.0, 60.0
"""After which a server is asked again that did not answer, or refused; till then workers poll."""


class PlainPushListener:
    """Wakes a worker when a job is pushed into the bucket's middle queue.

    A thread waits for the push: moving the first job of the queue to where it is blocks while
    there is none, and changes nothing. The queues of urgent and of unimportant jobs are only
    polled.

    Args:
        redis: Connection that no one else uses; its timeout must be longer than a look.
        bucket: Name of the bucket.
        queues: Names of those that the worker takes jobs from. Without the middle one there is
            nothing to listen for.
    """

    def __init__(self, redis: Redis, bucket: str, queues: list[str]) -> None:
        self._redis = redis
        self._bucket = bucket
        self._queue = keys.queue(bucket)
        self._is_served = bucket in queues
        self._wake = load_script(redis, __package__, "wake.lua")
        self._wanted = threading.Event()
        self._pause = FIRST_PAUSE
        self._seen: object = None
        self._thread = threading.Thread(target=self._run, name="plain-push-listener", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def listen(self) -> None:
        """Listen for pushes from now on; returns at once."""
        if self._is_served:
            self._wanted.set()

    def stop_listening(self) -> None:
        """Wake nobody any more; returns at once."""
        self._wanted.clear()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(self._look())

    def _look(self) -> float:
        """Wait for a job and wake a worker; return the seconds until the next look."""
        try:
            job = self._redis.blmove(self._queue, self._queue, LISTEN_SECONDS, "LEFT", "LEFT")
            if job is None:
                return 0
            is_new, self._seen = job != self._seen, job
            self._pause = FIRST_PAUSE if is_new else min(self._pause * 2, LONGEST_PAUSE)
            if is_new and self._wanted.is_set():
                self._wake(args=[self._bucket, job])
            return self._pause
        except RedisError as error:
            if is_away(error):
                return AWAY_SECONDS
            log.warning("queue %s is only polled for a while: %s", self._bucket, error)
            return REFUSED_SECONDS
