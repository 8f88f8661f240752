"""The page of failures: what fails, in groups, one of them opened."""

from collections.abc import Sequence
from typing import Any

from flask import Response, current_app, request
from redis import Redis

from spigot.jobs.job.failure_members import FailureMembers
from spigot.jobs.job.failures import FailureGroup, FailureIndex
from spigot.jobs.job.state import JobReader, JobState
from spigot.jobs.store.times import server_us, utc_text
from spigot.webapp.http.admin import require_admin
from spigot.webapp.routes.jobs_admin import read_page

from .html_page import html_page
from .list_lines import SHOWN_GROUPS, group_line
from .traceback_frames import frames_of

SHOWN_MEMBERS = 20


def failures_page() -> Response:
    """Show what fails, in groups."""
    require_admin()
    redis: Redis = current_app.extensions["redis"]
    index = FailureIndex(redis)
    groups, now_us = index.read(), server_us(redis)
    opened = request.args.get("group", "")
    after, _ = read_page()
    shown = groups[after : after + SHOWN_GROUPS]
    shown += [group for group in groups if group.id == opened and group not in shown]
    return html_page(
        "failures.html",
        groups=[{"group": group, **group_line(group, now_us)} for group in shown],
        total=sum(group.count for group in groups),
        ways=len(groups),
        after=after,
        next=after + SHOWN_GROUPS if len(groups) > after + SHOWN_GROUPS else None,
        **_opened(redis, index, opened),
        now=utc_text(now_us, digits="seconds"),
        requeued=request.args.get("requeued", ""),
        dismissed=request.args.get("dismissed", ""),
    )


def _opened(redis: Redis, index: FailureIndex, group_id: str) -> dict[str, Any]:
    """Return what is shown of the group that is opened, if one is."""
    group = index.find(group_id) if group_id else None
    if group is None:
        return {"opened": "", "traceback": "", "frames": [], "members": []}
    return {
        "opened": group.id,
        "traceback": group.traceback,
        "frames": frames_of(group.traceback),
        "members": _members(redis, group),
    }


def _members(redis: Redis, group: FailureGroup) -> Sequence[JobState]:
    reader: JobReader = current_app.extensions["job_reader"]
    found = reader.read_many(FailureMembers(redis).ids(group, SHOWN_MEMBERS))
    return [job for job in found if job]
