"""``spigot job watch``: one line that tells how far a job is."""

import json
import sys
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import Any

import click

from spigot.jobs.job.completions import any_job
from spigot.jobs.job.following import follow
from spigot.jobs.job.short_ids import no_such_id, whole_id
from spigot.jobs.job.state import JobState
from spigot.runtime.terminal import as_json, printable

from .server import connect_to_server

TICK_SECONDS = 0.2
BAR_CHARACTERS = 20
CLEAR = "\r\x1b[K"
"""To the beginning of the line, and erase it (ECMA-48)."""


@click.command(epilog="Example: spigot job watch 4bf92f3577b34da6a3ce929d0e0e4736")
@click.argument("id", shell_complete=any_job)
@as_json
def watch(id: str, as_json: bool) -> None:
    """Follow the job ID until it has ended; the exit status is 0 if it finished.

    On a terminal it is one line that changes, elsewhere a line for each change; with --json each
    is a document.
    """
    display = _JsonLines() if as_json else _Line() if sys.stdout.isatty() else _Lines()
    job: JobState | None = None
    redis = connect_to_server()
    for job in follow(redis, whole_id(redis, id), TICK_SECONDS):
        if job is not None:
            display.show(job)
    display.end()
    if job is None:
        raise click.ClickException(no_such_id(id))
    if job.status != "finished":
        reason = f": {printable(job.error)}" if job.error else ""
        raise click.ClickException(f"the job {job.status}{reason}")


def summary(job: JobState, now: datetime) -> str:
    """Return a line that tells where a job is.

    Args:
        job: As it was read.
        now: To count down to its start.
    """
    return printable(f"{job.status:9} {_bar(job)}{details(job, now)}".rstrip())


def _bar(job: JobState) -> str:
    if job.status != "started" or job.progress is None or not job.progress["total"]:
        return ""
    part = min(1.0, job.progress["done"] / job.progress["total"])
    return f"[{'#' * round(part * BAR_CHARACTERS):.<{BAR_CHARACTERS}}] "


def details(job: JobState, now: datetime) -> str:
    """Return how far a job is: its place, its progress, or how it ended; perhaps unsafe to print.

    Args:
        job: As it was read.
        now: To count down to its start.
    """
    told = {"queued": _place, "delayed": _place, "started": _progress}.get(job.status)
    return told(job, now) if told else _end(job)


def _place(job: JobState, now: datetime) -> str:
    parts = [] if job.position is None else [f"position {job.position}"]
    if job.estimated_start_at:
        start = datetime.fromisoformat(job.estimated_start_at)
        parts.append(f"starts in {max(0.0, (start - now).total_seconds()):.1f} s")
    if job.error:
        parts.append(job.error)
    return ", ".join(parts)


def _progress(job: JobState, now: datetime) -> str:
    if job.progress is None:
        return f"attempt {job.attempts}"
    done, total, note = job.progress["done"], job.progress["total"], job.progress["note"]
    if not total:
        return f"{done:g} {note}"
    return f"{min(1.0, done / total):4.0%} {done:g}/{total:g} {note}"


def _end(job: JobState) -> str:
    return job.error or ("" if job.result is None else json.dumps(job.result, ensure_ascii=False))


class _Line:
    """One line of a terminal, written anew at each tick."""

    def show(self, job: JobState) -> None:
        text = summary(job, datetime.now(UTC))[: get_terminal_size().columns - 1]
        click.echo(f"{CLEAR}{text}", nl=False)

    def end(self) -> None:
        click.echo()


class _Lines:
    """A line for each change, for pipes and files."""

    def __init__(self) -> None:
        self._shown: Any = None

    def show(self, job: JobState) -> None:
        change = (job.revision, job.status)
        if change != self._shown:
            self._shown = change
            self.write(job)

    def write(self, job: JobState) -> None:
        click.echo(summary(job, datetime.now(UTC)))

    def end(self) -> None:
        """There is nothing to end."""


class _JsonLines(_Lines):
    """A document for each change."""

    def write(self, job: JobState) -> None:
        click.echo(json.dumps(job.to_json()))
