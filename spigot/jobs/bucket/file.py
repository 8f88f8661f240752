"""Follows ``buckets.json``: what is changed in it counts without a restart."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from .config import BucketConfig, BucketConfigError, load_bucket_configs, with_buckets
from .configuring import NewerBucketError
from .publishing import BucketPublisher

log = logging.getLogger(__name__)

FILE_CHECK_SECONDS = 1.0
"""How often the file is looked at, at most."""


class BucketFile(Mapping[str, BucketConfig]):
    """The buckets by name, as the file last said.

    A file that cannot be used changes nothing: the last good numbers stay, and one error is
    logged.

    Args:
        path: The file.
        names: Buckets that must have numbers, whether the file has them or not.
        optional: It counts as ``{}`` if it does not exist now; once there, it is followed.

    Raises:
        BucketConfigError: The file cannot be used now, at the start.
    """

    def __init__(self, path: Path, names: Iterable[str] = (), *, optional: bool = False) -> None:
        self._path = path
        self._names = frozenset(names)
        self._seen = _signature(path)
        self._configs = self._load(optional)
        self._published: dict[str, BucketConfig] = {}
        self._next_look = 0.0
        self._looking = threading.Lock()

    def __getitem__(self, name: str) -> BucketConfig:
        return self._configs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._configs)

    def __len__(self) -> int:
        return len(self._configs)

    def publish(self, redis: Redis, only: Iterable[str] | None = None) -> None:
        """Write the numbers into Redis.

        Args:
            redis: Connection to the server of the queue side.
            only: Buckets to write; None writes all.

        Raises:
            NewerBucketError: A newer version wrote one of them; the others were written.
            redis.RedisError: Not all were written.
        """
        names = self._configs if only is None else only
        configs = {name: self._configs[name] for name in names if name in self._configs}
        BucketPublisher(redis).publish(configs, by=f"{self._path.name} of {socket.gethostname()}")
        self._published |= configs

    def follow(self, redis: Redis, only: Iterable[str] | None = None) -> None:
        """Publish what was changed in the file, looking at it once a second at most.

        Cheap enough for every request; a server that is away is told at a later call.

        Args:
            redis: Connection to the server of the queue side.
            only: Buckets to write; None writes all.
        """
        if time.monotonic() < self._next_look or not self._looking.acquire(blocking=False):
            return
        try:
            self._next_look = time.monotonic() + FILE_CHECK_SECONDS
            self._look()
            stale = [name for name in only or self if self._published.get(name) != self.get(name)]
            self.publish(redis, stale)
        except (RedisError, NewerBucketError) as error:
            log.debug("the buckets of %s are published later: %s", self._path, error)
        finally:
            self._looking.release()

    def follow_from_a_thread(
        self, redis: Redis, only: Iterable[str] | None = None
    ) -> Callable[[], None]:
        """Follow whatever the main thread does, to the end of the process.

        Returns:
            Ends it before.
        """
        stopped = threading.Event()

        def run() -> None:
            while not stopped.wait(FILE_CHECK_SECONDS):
                self.follow(redis, only)

        threading.Thread(target=run, name="bucket-file", daemon=True).start()
        return stopped.set

    def _look(self) -> None:
        signature = _signature(self._path)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._configs = self._load()
        except BucketConfigError as error:
            log.error("%s; the last good numbers stay", error)
        else:
            log.info("%s was read again", self._path)

    def _load(self, optional: bool = False) -> dict[str, BucketConfig]:
        read = load_bucket_configs(self._path, optional=optional)
        configs, missing = with_buckets(read, self._names)
        for name in missing if self._seen else ():  # without a file, all of them are
            log.warning("bucket %s is not in %s: it gets the numbers of default", name, self._path)
        return configs


def _signature(path: Path) -> tuple[int, int, int] | None:
    """Return what differs when the file was written or replaced; None if it cannot be read."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
