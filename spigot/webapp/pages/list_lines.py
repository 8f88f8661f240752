"""What a line says of a job, of a group of failures, or of a client, as texts by key."""

from spigot.jobs.job.failures import FailureGroup
from spigot.jobs.job.state import JobState
from spigot.jobs.overview.number_texts import ago_text, clock_text
from spigot.jobs.store.times import unix_us
from spigot.webapp.routes.clients import Client

from .cards import Texts
from .job_model import STATES

SHOWN_GROUPS, SHOWN_CLIENTS = 25, 100
"""Lines of a page, so that it weighs little however much fails and however many are refused."""

LONGEST_ERROR = 160
HOT_SECONDS = 300
"""A group that failed within this time is said to go on failing."""


def job_line(job: JobState, now_us: int) -> Texts:
    """Return what a list says of a job."""
    word, mark, tone = STATES[job.status]
    error = job.error or ""
    return {
        "word": word,
        "mark": mark,
        "tone": tone.replace(" big", " plain"),
        "error": error if len(error) <= LONGEST_ERROR else error[: LONGEST_ERROR - 1] + "…",
        "when": _when(job, now_us),
    }


def gone_line() -> Texts:
    """Return what a list says of a job that is kept no more."""
    tone = "state soft plain"
    return {"word": "gone", "mark": "#slash", "tone": tone, "error": "", "when": ""}


def group_line(group: FailureGroup, now_us: int) -> Texts:
    """Return what the page says of a group of failures, besides what never changes."""
    last = ago_text(group.last_at, now_us)
    is_hot = group.last_at and now_us - unix_us(group.last_at) < HOT_SECONDS * 1_000_000
    return {
        "count": f"{group.count:,}",
        "times": "time" if group.count == 1 else "times",
        "first": ago_text(group.first_at, now_us),
        "last": last,
        "hot": f"still happening, {last}" if is_hot else "",
    }


def client_line(client: Client) -> Texts:
    """Return what the page says of a client."""
    is_banned = bool(client.banned_until_at)
    return {
        "rules": ", ".join(client.refused) or "nobody",
        "times": f"{sum(client.refused.values()):,}",
        "banned": client.banned_until_at or "",
        "can_ban": "" if is_banned else "1",
        "can_unban": "1" if is_banned else "",
    }


def _when(job: JobState, now_us: int) -> str:
    if job.status == "queued":
        return f"position {job.position:,}" if job.position else ""
    if job.status == "delayed":
        seconds = job.estimated_start_in
        return "when another has ended" if seconds is None else f"due in {clock_text(seconds)}"
    if job.status == "started":
        seconds = max(0, now_us - unix_us(job.started_at)) / 1_000_000 if job.started_at else 0
        return f"for {clock_text(seconds)}"
    return ago_text(job.ended_at, now_us)
