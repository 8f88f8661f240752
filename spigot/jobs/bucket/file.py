"""Follows ``buckets.json``: what is changed in it counts without a restart."""

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from spigot.jobs.budgets.declared_cost import DeclaredCost
from spigot.jobs.budgets.known_costs import too_costly
from spigot.runtime.followed_file import FollowedFile
from spigot.runtime.settings import Settings

from .config import (
    BucketConfig,
    BucketConfigError,
    parse_bucket_configs,
    with_buckets,
    with_costs,
)
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
        costs: What the jobs of each type cost; budgets must fit them.

    Raises:
        BucketConfigError: The file cannot be used now, at the start.
    """

    def __init__(
        self,
        path: Path,
        names: Iterable[str] = (),
        *,
        optional: bool = False,
        costs: Iterable[DeclaredCost] = (),
    ) -> None:
        self._path = path
        self._names = frozenset(names)
        self._costs = tuple(costs)
        self._published: dict[str, BucketConfig] = {}
        self._file = FollowedFile(
            path, self._parse, error=BucketConfigError, contents="numbers", optional=optional
        )

    @classmethod
    def of(
        cls, settings: Settings, names: Iterable[str], costs: Iterable[DeclaredCost]
    ) -> "BucketFile":
        """Return the file that the settings name; one that nobody named need not exist.

        Args:
            settings: Of this process.
            names: As the class takes them; so are the costs.
            costs: Of all job types.

        Raises:
            BucketConfigError: The file cannot be used now, at the start.
        """
        return cls(settings.buckets, names, optional=settings.is_unset("buckets"), costs=costs)

    def __getitem__(self, name: str) -> BucketConfig:
        return self._file.value[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.value)

    def __len__(self) -> int:
        return len(self._file.value)

    def publish(self, redis: Redis, only: Iterable[str] | None = None) -> None:
        """Write the numbers into Redis.

        Args:
            redis: Connection to the server of the queue side.
            only: Buckets to write; None writes all.

        Raises:
            NewerBucketError: A newer version wrote one of them; the others were written.
            redis.RedisError: Not all were written.
        """
        names = self._file.value if only is None else only
        configs = {name: self._file.value[name] for name in names if name in self._file.value}
        BucketPublisher(redis).publish(configs, by=f"{self._path.name} of {socket.gethostname()}")
        self._published |= configs

    def follow(self, redis: Redis, only: Iterable[str] | None = None) -> None:
        """Publish what was changed in the file, looking at it once a second at most.

        Cheap enough for every request; a server that is away is told at a later call.

        Args:
            redis: Connection to the server of the queue side.
            only: Buckets to write; None writes all.
        """
        if not self._file.look(FILE_CHECK_SECONDS):
            return
        stale = [name for name in only or self if self._published.get(name) != self.get(name)]
        try:
            self.publish(redis, stale)
        except (RedisError, NewerBucketError) as error:
            log.debug("the buckets of %s are published later: %s", self._path, error)

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

    def _parse(self, text: str) -> dict[str, BucketConfig]:
        configs, missing = with_buckets(parse_bucket_configs(self._path, text), self._names)
        for name in missing if self._path.exists() else ():  # without a file, all of them are
            log.warning("bucket %s is not in %s: it gets the numbers of default", name, self._path)
        configs = with_costs(configs, self._costs)
        for name, config in configs.items():
            for words in too_costly(config.budgets, (c for c in self._costs if c.bucket == name)):
                log.warning("%s", words)
        return configs
