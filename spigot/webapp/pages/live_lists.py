"""The lists of jobs, failures and clients, as they change while somebody looks.

A line that is on a page stays where it is and says what has become of it. What is new is counted:
nothing moves under a pointer, and the page is loaded again when its reader wants to see more.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Blueprint, Flask, abort, current_app
from flask.typing import ResponseReturnValue
from redis import Redis

from spigot.jobs.bucket.configuring import UnknownBucketError
from spigot.jobs.job.failures import FailureIndex
from spigot.jobs.job.search import JobSearch, Wanted
from spigot.jobs.job.state import JobReader, JobState
from spigot.jobs.store.times import server_us, utc_text
from spigot.webapp.http.admin import require_admin
from spigot.webapp.http.description import Answer, described
from spigot.webapp.routes.clients import read_clients
from spigot.webapp.routes.jobs_admin import read_page, read_wanted
from spigot.webapp.waiting.connection_loop import ConnectionLoop
from spigot.webapp.waiting.parked_response import (
    EVENT_STREAM,
    STREAM_HEADERS,
    ParkedResponse,
    too_many_listeners,
)

from .cards import Texts
from .list_lines import SHOWN_CLIENTS, SHOWN_GROUPS, client_line, gone_line, group_line, job_line
from .overview_model import changed, changed_in_each
from .page_feed import PageFeed, PageFeeds
from .page_stream import PageStream

PERIOD_SECONDS = 2.0
SEARCH_SECONDS = 15.0
"""A search by type or text looks at 2,000 jobs: it is not repeated at each look."""

MOST_FOLLOWED = 250
"""Jobs of a list that are followed after they have left it."""

blueprint = Blueprint("live_lists", __name__)


@dataclass(frozen=True, slots=True)
class ListPicture:
    """What a list shows at one moment.

    Attributes:
        page: Texts of the page itself.
        lines: Texts of each line, by its key: those of the list, and some that have left it.
        order: Keys of the list.
    """

    page: Texts
    lines: dict[str, Texts]
    order: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the whole."""
        return {"page": self.page, "lines": self.lines, "order": self.order}

    def since(self, before: "ListPicture | None", /) -> dict[str, Any]:
        """Return what differs; the whole if there is nothing to compare with."""
        if before is None:
            return self.to_json()
        found: dict[str, Any] = {
            "page": changed(before.page, self.page),
            "lines": changed_in_each(before.lines, self.lines),
        }
        if before.order != self.order:
            found["order"] = self.order
        return found


class JobsList:
    """A page of jobs, and what becomes of those that were on it.

    Args:
        search: Finds jobs.
        reader: Reads them.
        redis: Connection to the server of the queue side.
        wanted: Which jobs.
        page: How many come before the page, and how many are on it.
    """

    def __init__(
        self,
        search: JobSearch,
        reader: JobReader,
        redis: Redis,
        wanted: Wanted,
        page: tuple[int, int],
    ) -> None:
        self._search, self._reader, self._redis = search, reader, redis
        self._wanted, (self._after, self._limit) = wanted, page
        self._followed: dict[str, None] = {}
        self._order: list[str] = []
        self._search_at = 0.0

    def read(self) -> ListPicture:
        """Return what there is to see now.

        Raises:
            redis.RedisError: The server did not answer.
        """
        found = self._find()
        unread = [key for key in self._followed if key not in found]
        states = dict(zip(unread, self._reader.read_many(unread), strict=True)) if unread else {}
        now_us = server_us(self._redis)
        lines = {
            key: job_line(job, now_us) if job else gone_line()
            for key, job in (found | states).items()
        }
        return ListPicture(_now(now_us), lines, self._order)

    def _find(self) -> dict[str, JobState | None]:
        """Return the jobs of the list; none where it is too early to look for them again."""
        now = time.monotonic()
        if now < self._search_at:
            return {}
        self._search_at = now + (SEARCH_SECONDS if self._wanted.must_look else 0)
        try:
            jobs = self._search.find(self._wanted, after=self._after, limit=self._limit).jobs
        except UnknownBucketError:  # it was there when the page was made
            jobs = []
        self._order = [job.id for job in jobs]
        for key in self._order:
            self._followed[key] = self._followed.pop(key, None)  # the latest stand last
        for key in list(self._followed)[:-MOST_FOLLOWED]:
            del self._followed[key]
        return {job.id: job for job in jobs}


def init_app(app: Flask) -> None:
    """Serve the stream; called by ``create_app``.

    Args:
        app: Has the pages.
    """
    app.register_blueprint(blueprint)


@blueprint.get("/api/lists/<name>/events")
@described(
    {
        200: Answer("Server-sent events: what differs on a list.", None, EVENT_STREAM),
        404: "There is no such list.",
        503: "Too many clients listen already.",
    },
    for_admin=True,
    needs_server=False,
)
def events(name: str) -> ResponseReturnValue:
    """Tell the page of jobs, failures or clients what has changed; it has that page's filters."""
    require_admin()
    key, read = _wanted(name)
    loop: ConnectionLoop = current_app.extensions["connection_loop"]
    if loop.is_full:
        return too_many_listeners()
    feeds: PageFeeds = current_app.extensions["page_feeds"]
    feed = feeds.get(key, lambda: PageFeed(read, "list", PERIOD_SECONDS))
    return ParkedResponse(loop, PageStream(feed), mimetype=EVENT_STREAM, headers=STREAM_HEADERS)


def _wanted(name: str) -> tuple[Hashable, Callable[[], ListPicture]]:
    """Return what tells a list from others, and how it is read."""
    extensions = current_app.extensions
    redis: Redis = extensions["redis"]
    if name == "jobs":
        search, reader = extensions["job_search"], extensions["job_reader"]
        wanted, page = read_wanted(), read_page()
        return (name, wanted, page), JobsList(search, reader, redis, wanted, page).read
    if name == "failures":
        after, _ = read_page()
        return (name, after), partial(_failures, redis, after)
    if name == "clients":
        return name, partial(_clients, redis, extensions["limits_redis"])
    abort(404, "the lists are jobs, failures and clients")


def _failures(redis: Redis, after: int) -> ListPicture:
    groups, now_us = FailureIndex(redis).read(), server_us(redis)
    lines = {group.id: group_line(group, now_us) for group in groups}
    return ListPicture(_now(now_us), lines, list(lines)[after : after + SHOWN_GROUPS])


def _clients(redis: Redis, limits_redis: Redis) -> ListPicture:
    lines = {one.client: client_line(one) for one in read_clients(limits_redis)}
    return ListPicture(_now(server_us(redis)), lines, list(lines)[:SHOWN_CLIENTS])


def _now(now_us: int) -> Texts:
    return {"page_now": utc_text(now_us, digits="seconds")}
