"""The overview for all who watch it: one reading a second and process, whatever their number."""

import json
import time
from collections import deque
from typing import Literal

from redis import RedisError

from .overview_model import Overview, OverviewSource

PERIOD_SECONDS = 1.0
KEPT = 30
"""Readings that are kept to compare with; who is further behind gets the whole."""

Audience = Literal["admin", "stranger"]


class PageFeed:
    """What one audience is sent; used by one thread.

    Args:
        source: Makes the overviews.
        audience: For whom.
    """

    def __init__(self, source: OverviewSource, audience: Audience) -> None:
        self._source = source
        self._is_admin = audience == "admin"
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
            overview = self._source.read(is_admin=self._is_admin)
        except RedisError:  # said to who watches; the next look may succeed
            self._away = True
            return
        self._away = False
        self._number += 1
        self._kept.append((self._number, overview))
