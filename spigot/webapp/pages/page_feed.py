"""A page for all who watch it: one reading a period and process, whatever their number."""

import json
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Protocol, Self

from redis import RedisError

from .overview_model import OverviewSource

PERIOD_SECONDS = 1.0
MOST_FEEDS = 100
KEPT = 30
"""Readings that are kept to compare with; who is further behind gets the whole."""


class Picture(Protocol):
    """What a page shows at one moment."""

    def since(self, before: Self | None, /) -> dict[str, Any]:
        """Return what differs; the whole if there is nothing to compare with."""
        ...


class PageFeed:
    """What those are sent who look at the same; used by one thread.

    Args:
        read: Returns what there is to see now.
        event: Name of the event that says what has changed.
        period: Seconds between two readings.
    """

    def __init__(
        self, read: Callable[[], Any], event: str = "overview", period: float = PERIOD_SECONDS
    ) -> None:
        self._read, self._event, self._period = read, event, period
        self._kept: deque[tuple[int, Picture]] = deque(maxlen=KEPT)
        self._number = 0
        self._read_at = 0.0
        self._away = False

    def after(self, number: int | None) -> tuple[int, bytes]:
        """Return the number of the present reading, and the event that leads there.

        Args:
            number: Of the reading that the client has; None for none.
        """
        self._look()
        if self._away or not self._kept:
            return 0, b"event: away\ndata: {}\n\n"
        known = dict(self._kept).get(number or 0)
        present, picture = self._kept[-1]
        if present == number:
            return present, b""
        data = json.dumps(picture.since(known), separators=(",", ":"))
        return present, f"event: {self._event}\ndata: {data}\n\n".encode()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._read_at < self._period * 0.9:
            return
        self._read_at = now
        try:
            picture = self._read()
        except RedisError:  # said to who watches; the next look may succeed
            self._away = True
            return
        self._away = False
        self._number += 1
        self._kept.append((self._number, picture))


class PageFeeds:
    """The feeds of this process, by what they show and to whom.

    Args:
        source: Makes the overviews.
    """

    def __init__(self, source: OverviewSource) -> None:
        self._source = source
        self._feeds: OrderedDict[Hashable, PageFeed] = OrderedDict()

    def of(self, bucket: str | None, *, is_admin: bool) -> PageFeed:
        """Return the feed of a bucket's page; None: of the overview's."""
        return self.get((bucket, is_admin), lambda: PageFeed(self._reader_of(bucket, is_admin)))

    def get(self, key: Hashable, make: Callable[[], PageFeed]) -> PageFeed:
        """Return the feed of a key, which is made if there is none."""
        found = self._feeds.get(key)
        if found is None:
            found = self._feeds[key] = make()
            if len(self._feeds) > MOST_FEEDS:
                self._feeds.popitem(last=False)  # who listens keeps it
        return found

    def _reader_of(self, bucket: str | None, is_admin: bool) -> Callable[[], Any]:
        if bucket is None:
            return partial(self._source.read, is_admin=is_admin)
        return partial(self._source.read_one, bucket, is_admin=is_admin)
