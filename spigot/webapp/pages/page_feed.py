"""The overview for all who watch it: one reading a second and process, whatever their number."""

import json
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

from redis import RedisError

from .overview_model import Overview, OverviewSource

PERIOD_SECONDS = 1.0
MOST_FEEDS = 100
KEPT = 30
"""Readings that are kept to compare with; who is further behind gets the whole."""


class PageFeed:
    """What those are sent who look at the same; used by one thread.

    Args:
        read: Returns what there is to see now.
    """

    def __init__(self, read: Callable[[], Overview]) -> None:
        self._read = read
        self._kept: deque[tuple[int, Overview]] = deque(maxlen=KEPT)
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
        present, overview = self._kept[-1]
        if present == number:
            return present, b""
        data = json.dumps(overview.since(known), separators=(",", ":"))
        return present, f"event: overview\ndata: {data}\n\n".encode()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._read_at < PERIOD_SECONDS * 0.9:
            return
        self._read_at = now
        try:
            overview = self._read()
        except RedisError:  # said to who watches; the next look may succeed
            self._away = True
            return
        self._away = False
        self._number += 1
        self._kept.append((self._number, overview))


class PageFeeds:
    """The feeds of this process: for strangers and the admin, of the overview and of buckets.

    Args:
        source: Makes the overviews.
    """

    def __init__(self, source: OverviewSource) -> None:
        self._source = source
        self._feeds: OrderedDict[tuple[str | None, bool], PageFeed] = OrderedDict()

    def of(self, bucket: str | None, *, is_admin: bool) -> PageFeed:
        """Return the feed of a bucket's page; None: of the overview's."""
        found = self._feeds.get((bucket, is_admin))
        if found is None:
            found = self._feeds[bucket, is_admin] = PageFeed(self._reader_of(bucket, is_admin))
            if len(self._feeds) > MOST_FEEDS:
                self._feeds.popitem(last=False)  # who listens keeps it
        return found

    def _reader_of(self, bucket: str | None, is_admin: bool) -> Callable[[], Overview]:
        if bucket is None:
            return partial(self._source.read, is_admin=is_admin)
        return partial(self._source.read_one, bucket, is_admin=is_admin)
