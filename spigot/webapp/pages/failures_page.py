"""The page of failures: what fails, in groups, one of them opened."""

from typing import Any

from flask import Response, current_app, request
from redis import Redis

from spigot.jobs.job.failure_members import FailureMembers
from spigot.jobs.job.failures import FailureGroup, FailureIndex
from spigot.jobs.job.state import JobReader, JobState
from spigot.jobs.overview.words import unix_us
from spigot.webapp.http.admin import require_admin

from .html_page import html_page
from .moments import ago_text, server_us
from .traceback_frames import frames_of

SHOWN_MEMBERS = 20


def failures_page() -> Response:
    """Show what fails, in groups."""
    require_admin()
    redis: Redis = current_app.extensions["redis"]
    groups = FailureIndex(redis).read(tracebacks=True)
    now_us = server_us(redis)
    opened = request.args.get("group", "")
    members = FailureMembers(redis)
    return html_page(
        "failures.html",
        groups=[_group_texts(group, now_us) for group in groups],
        opened=opened,
        members={group.id: _members(members, group) for group in groups if group.id == opened},
        requeued=request.args.get("requeued", ""),
        dismissed=request.args.get("dismissed", ""),
    )


def _group_texts(group: FailureGroup, now_us: int) -> dict[str, Any]:
    last = ago_text(group.last_at, now_us)
    is_hot = bool(group.last_at) and now_us - unix_us(group.last_at or "") < 300 * 1_000_000
    return {
        "group": group,
        "first": ago_text(group.first_at, now_us),
        "last": last,
        "is_hot": is_hot,
        "frames": frames_of(group.traceback),
    }


def _members(members: FailureMembers, group: FailureGroup) -> list[JobState]:
    reader: JobReader = current_app.extensions["job_reader"]
    found = reader.read_many(members.ids(group, SHOWN_MEMBERS))
    return [job for job in found if job]
