"""All that a job's page says, as texts by key, and the steps of its way as rows."""

import json
from dataclasses import dataclass
from typing import Any

from redis import Redis, RedisError

from spigot.jobs.job.state import JobState
from spigot.jobs.overview.number_texts import ago_text, clock_text, span_text
from spigot.jobs.overview.reading import BucketView, OverviewReader
from spigot.jobs.overview.verdict import judge
from spigot.jobs.store.times import server_us, unix_us
from spigot.runtime.count_text import count_text

from .cards import Texts
from .job_steps import read_past, steps_of

RESULT_CHARACTERS = 20_000
STATES = {
    "queued": ("waiting", "#dots", "state ok big"),
    "delayed": ("delayed", "#clock", "state warn big"),
    "started": ("running", "#drop", "state ok big"),
    "finished": ("finished", "#tick", "state soft big"),
    "failed": ("failed", "#cross", "state bad big"),
    "cancelled": ("cancelled", "#slash", "state soft big"),
}
WITHOUT_WORKER = ("without a worker", "#tri", "state bad big")
LOST = "no worker of its bucket is alive: it starts again once one is"


@dataclass(frozen=True, slots=True)
class JobPicture:
    """What a job's page shows at one moment."""

    texts: Texts
    steps: list[Texts]


class JobPictures:
    """Makes them.

    Args:
        redis: Connection to the server of the queue side.
        buckets: Reads the job's bucket.
    """

    def __init__(self, redis: Redis, buckets: OverviewReader) -> None:
        self._redis = redis
        self._buckets = buckets

    def of(self, job: JobState) -> JobPicture:
        """Return what there is to see of a job now.

        Raises:
            redis.RedisError: The server did not answer.
        """
        view = next(iter(self._buckets.read([job.bucket])), None)
        now_us = view.now_us if view else server_us(self._redis)
        steps = steps_of(job, read_past(self._redis, job.id), view, now_us)
        return JobPicture(_texts(job, view, now_us), steps)


def _texts(job: JobState, view: BucketView | None, now_us: int) -> Texts:
    is_lost = _is_lost(job, view)
    word, mark, tone = WITHOUT_WORKER if is_lost else STATES[job.status]
    waits = job.status in ("queued", "delayed")
    return {
        "job_word": word,
        "job_mark": mark,
        "job_tone": tone,
        "page_title": f"{word} · {job.type} {job.id[:8]} · Spigot",
        **_clock(job, view, now_us),
        **_progress(job, now_us),
        **({"progress_eta": ""} if is_lost else {}),
        "result": _result(job),
        "error": "" if job.status == "finished" else job.error or "",
        "attempts": str(job.attempts),
        "can_cancel": "" if job.ended else "1",
        "cancel_says": "The job leaves its place and never starts. This cannot be undone."
        if waits
        else "Stops the job where it is. What it has done so far is not undone.",
        "can_requeue": "1" if job.status == "failed" else "",
        "is_over": "1" if job.ended else "",
    }


def _is_lost(job: JobState, view: BucketView | None) -> bool:
    """Return whether a job has begun, and no worker of its bucket is alive any more."""
    return job.status == "started" and view is not None and not view.state.workers


def _clock(job: JobState, view: BucketView | None, now_us: int) -> Texts:
    if job.status in ("queued", "delayed"):
        return _countdown(job, view, now_us)
    started = unix_us(job.started_at) if job.started_at else None
    if job.status == "started" and started:
        clock = clock_text(max(0, now_us - started) / 1_000_000)
        label, note = ("since it began", LOST) if _is_lost(job, view) else ("running for", "")
        return _clock_texts(label, clock, f"attempt {job.attempts}", note)
    if started and job.ended_at:
        ran = span_text(max(0, unix_us(job.ended_at) - started) / 1_000_000)
        ended = f"ended {ago_text(job.ended_at, now_us)}"
        return _clock_texts("ran for", ran, ended, count_text(job.attempts, "attempt"))
    return _clock_texts("never started", "0:00", "", "")


def _clock_texts(label: str, clock: str, place: str, note: str) -> Texts:
    empty = {"ahead": "", "yours_x": "-20", "yours_text": "", "ahead_label": "", "pace_says": ""}
    return {"clock_label": label, "clock": clock, "place": place, "clock_note": note, **empty}


def _countdown(job: JobState, view: BucketView | None, now_us: int) -> Texts:
    state = view.state if view else None
    seconds = job.estimated_start_in
    position = f"position {job.position:,} of {state.waiting:,}" if job.position and state else ""
    if job.status == "delayed":
        position = (
            f"attempt {job.attempts + 1}" if job.attempts else "for a time that was asked for"
        )
    if state and state.paused:
        return _clock_texts("starts", "when resumed", position, "the bucket is paused")
    if seconds is None:
        return _clock_texts("starts", "not known yet", position, "")
    if state and not state.workers:
        return _clock_texts("starts", "no worker", position, "when a worker is alive")
    is_exact = not view or judge(view).badges[0].word in ("at its rate", "keeps up", "idle")
    texts = _clock_texts(
        "starts in" if is_exact else "starts in about",
        clock_text(seconds) if seconds >= 0.5 else "now",
        position,
        "",
    )
    return texts | (_line_ahead(job, seconds) if job.position else {}) | _says(view)


def _says(view: BucketView | None) -> Texts:
    if view is None:
        return {}
    verdict = judge(view, is_admin=False)
    return {"pace_says": f"{view.state.name}: {verdict.why(is_admin=False)}"}


def _line_ahead(job: JobState, seconds: float) -> Texts:
    """Draw the starts before this job's, at most eight of them."""
    position = job.position or 1
    shown = min(position, 9)
    gap = 490 / shown
    bars = "".join(f"M{gap * n:g} 12v28h5v-28z" for n in range(1, shown))
    before = count_text(position - 1, "job starts", "jobs start")
    told = f"{before} before yours, which does in {clock_text(seconds)}."
    return {
        "ahead": bars,
        "yours_x": f"{gap * shown:g}",
        "yours_text": f"yours, {clock_text(seconds)}",
        "ahead_label": told,
    }


def _progress(job: JobState, now_us: int) -> Texts:
    progress: Any = job.progress
    if not isinstance(progress, dict) or job.status not in ("started", "failed", "cancelled"):
        return {"done": "", "total": "1", "progress_note": "", "progress_eta": ""}
    done, total = progress.get("done") or 0, progress.get("total")
    note = str(progress.get("note") or "")
    of = f"{done:g} of {total:g}" if total else f"{done:g}"
    eta = ""
    if total and done and job.started_at and job.status == "started":
        ran = (now_us - unix_us(job.started_at)) / 1_000_000
        eta = f"at this pace done in about {clock_text(ran * (total - done) / done)}"
    return {
        "done": f"{done:g}" if total else "",
        "total": f"{total:g}" if total else "1",
        "progress_note": f"{of} · {note}" if note else of,
        "progress_eta": eta,
    }


def _result(job: JobState) -> str:
    if job.status != "finished":
        return ""
    text = json.dumps(job.result, indent=2, ensure_ascii=False)
    return text if len(text) <= RESULT_CHARACTERS else text[:RESULT_CHARACTERS] + "\n…"


def read_or_none(pictures: JobPictures, job: JobState) -> JobPicture | None:
    """Return the picture; None while the server is away."""
    try:
        return pictures.of(job)
    except RedisError:
        return None
