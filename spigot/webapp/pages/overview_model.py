"""What the overview says, as texts by key: a template shows them, the stream sends changes."""

import time
from dataclasses import dataclass
from itertools import islice
from typing import Any

from redis import Redis, RedisError

from spigot.jobs.job.listing import JobLister
from spigot.jobs.job.state import JobState
from spigot.jobs.overview.badges import NEEDS_SOMEBODY
from spigot.jobs.overview.number_texts import span_text
from spigot.jobs.overview.reading import RECENT_SECONDS, BucketView, OverviewReader
from spigot.jobs.store.times import unix_us, utc_text
from spigot.runtime.count_text import count_text
from spigot.webapp.door.rate_limits.refused_clients import Refused, most_refused

from .budget_rows import budget_rows
from .cards import Judged, Texts, card_of, judged
from .change_words import changes_of
from .tap_picture import LARGE

FOR_STRANGERS = {"page_title": "Spigot: send a job, and know when it starts"}

SHOWN = 12
"""Lines of each list, so that a look costs as little with many jobs."""

MOST_TOLD = 3
"""Buckets that are named under the heading."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What a page shows at one moment.

    Attributes:
        page: Texts of the page itself.
        cards: Texts of each bucket, in their order.
        rows: By list, the texts of its lines, each with its ``key``.
    """

    page: Texts
    cards: dict[str, Texts]
    rows: dict[str, list[Texts]]

    def to_json(self) -> dict[str, Any]:
        """Return the whole."""
        order = list(self.cards)
        return {"page": self.page, "cards": self.cards, "rows": self.rows, "order": order}

    def since(self, before: "Overview | None", /) -> dict[str, Any]:
        """Return what differs; the whole if there is nothing to compare with."""
        if before is None:
            return self.to_json()
        found: dict[str, Any] = {
            "page": changed(before.page, self.page),
            "cards": changed_in_each(before.cards, self.cards),
            "rows": {n: rows for n, rows in self.rows.items() if rows != before.rows.get(n)},
        }
        if list(before.cards) != list(self.cards):
            found["order"] = list(self.cards)
        return found


class OverviewSource:
    """Makes overviews for strangers and for the admin.

    Args:
        reader: Reads the buckets.
        redis: Connection to the server of the queue side.
        limits_redis: Connection to the server of the door.
        keep_seconds: How long ended jobs are kept.
    """

    def __init__(
        self, reader: OverviewReader, redis: Redis, limits_redis: Redis, keep_seconds: int
    ) -> None:
        self._reader = reader
        self._lister = JobLister(redis, keep_seconds)
        self._limits_redis = limits_redis

    def read(self, *, is_admin: bool) -> Overview:
        """Return what there is to see now.

        Raises:
            redis.RedisError: The server of the queue side did not answer.
        """
        views = self._reader.read_all()
        shown = judged(views, is_admin=is_admin)
        cards = {one.view.state.name: card_of(one, is_admin=is_admin) for one in shown}
        if not is_admin:
            return Overview(_totals(views) | FOR_STRANGERS, cards, {})
        refused = self._refused()
        names = [view.state.name for view in views]
        running = self._lister.page(["started"], names, limit=SHOWN).jobs if names else []
        now_us = max((view.now_us for view in views), default=int(time.time() * 1_000_000))
        changes = changes_of(views, now_us)
        rows = {
            "running": [_running(job, now_us) for job in running],
            "refused": _refused_rows(refused or [], views),
            "changes": changes,
        }
        page = _totals(views) | _admin_totals(views, refused, changes) | _heading(shown)
        return Overview(page, cards, rows)

    def read_one(self, name: str, *, is_admin: bool) -> Overview:
        """Return what there is to see of one bucket.

        Raises:
            redis.RedisError: As ``read``.
        """
        shown = judged(self._reader.read([name]), is_admin=is_admin)
        cards = {one.view.state.name: card_of(one, is_admin=is_admin, frame=LARGE) for one in shown}
        budgets = [row for one in shown for row in budget_rows(one.view)] if is_admin else []
        return Overview(_now(), cards, {"budgets": budgets} if is_admin else {})

    def _refused(self) -> list[Refused] | None:
        try:
            return most_refused(self._limits_redis, 1000)
        except RedisError:  # the door does without it, and so does whoever watches the jobs
            return None


def changed(before: Texts, after: Texts) -> Texts:
    """Return the texts that are others than before."""
    return {key: text for key, text in after.items() if before.get(key) != text}


def changed_in_each(before: dict[str, Texts], after: dict[str, Texts]) -> dict[str, Texts]:
    """Return the same of several, by name; without those that are as they were."""
    found = {name: changed(before.get(name, {}), texts) for name, texts in after.items()}
    return {name: texts for name, texts in found.items() if texts}


def _now() -> Texts:
    return {"page_now": utc_text(int(time.time()) * 1_000_000, digits="seconds")}


def _totals(views: list[BucketView]) -> Texts:
    started = sum(cell.starts for view in views for cell in view.history)
    return {
        **_now(),
        "page_started": f"{started:,}",
        "page_waiting": f"{sum(view.state.waiting for view in views):,}",
        "page_running": f"{sum(view.state.running for view in views):,}",
        "page_delayed": f"{sum(view.state.delayed for view in views):,}",
    }


def _admin_totals(
    views: list[BucketView], refused: list[Refused] | None, changes: list[Texts]
) -> Texts:
    failed = sum(view.failed for view in views)
    running = sum(view.state.running for view in views)
    by_buckets = sum(view.refused for view in views)
    turned_away = by_buckets + sum(one.count for one in refused or ())
    return {
        "page_failed": f"{failed:,}",
        "page_failed_badge": f"{failed:,}" if failed else "",
        "page_failed_tone": "bad" if failed else "",
        "page_refused": "?" if refused is None else f"{turned_away:,}",
        "page_refused_note": "the server of the rate limits does not answer"
        if refused is None
        else "",
        "page_running_note": f"{SHOWN} of {running:,}" if running > SHOWN else "",
        "page_nothing_runs": "" if running else "Nothing runs.",
        "page_nobody_refused": "" if turned_away or refused is None else "Nobody was refused.",
        "page_nobody_changed": "" if changes else "Nobody has changed a bucket.",
    }


def _heading(buckets: list[Judged]) -> Texts:
    need = [one for one in buckets if one.needs_somebody]
    failed = sum(one.view.failed for one in buckets)
    if need:
        needing = "needs" if len(need) == 1 else "need"
        title = f"{len(need)} of {count_text(len(buckets), 'bucket')} {needing} you"
        lead = _some({one.view.state.name: _need(one) for one in need})
    else:
        title = "No bucket needs you"
        lead = f"{_nothing_wrong(buckets)} {_some(_stopped(buckets))}".rstrip()
    prefix = f"({failed:,} failed) " if failed else ""
    return {"page_title": f"{prefix}{title} · Spigot", "page_heading": title, "page_lead": lead}


def _nothing_wrong(buckets: list[Judged]) -> str:
    """Return why no bucket needs anybody; of failures only that there are none, if that is so."""
    failed = sum(one.view.failed_recently for one in buckets)
    if not failed:
        return "Nothing is full, fails, or lacks a worker."
    told = f"{count_text(failed, 'job')} failed in the last {RECENT_SECONDS // 60} minutes"
    return f"Nothing is full or lacks a worker; {told}."


def _some(states: dict[str, str]) -> str:
    """Return a sentence for each of the first buckets, and how many more there are."""
    told = [f"{name} is {state}." for name, state in islice(states.items(), MOST_TOLD)]
    if (more := len(states) - len(told)) > 0:
        told.append(f"{count_text(more, 'more is', 'more are')} below.")
    return " ".join(told)


def _need(one: Judged) -> str:
    words = {"no worker": "without a worker", "full": "full", "failing": "failing"}
    badges = [badge for badge in one.verdict.badges if badge.rank <= NEEDS_SOMEBODY]
    return " and ".join(words[badge.word] for badge in badges)


def _stopped(buckets: list[Judged]) -> dict[str, str]:
    """Return those that let no job out, or none in, because somebody asked for it."""
    words = {"held": "held", "asking": "held", "paused": "paused", "draining": "draining"}
    first = {one.view.state.name: one.verdict.badges[0].word for one in buckets}
    return {name: words[word] for name, word in first.items() if word in words}


def _running(job: JobState, now_us: int) -> Texts:
    progress = job.progress
    done = progress["done"] if isinstance(progress, dict) else 0
    total = progress.get("total") if isinstance(progress, dict) else None
    started = unix_us(job.started_at) if job.started_at else now_us
    return {
        "key": job.id,
        "short": job.id[:8],
        "href": f"jobs/{job.id}",
        "type": job.type,
        "bucket": job.bucket,
        "done": f"{done:g}" if total else "",
        "total": f"{total:g}" if total else "1",
        "note": str(progress.get("note") or "") if isinstance(progress, dict) else "",
        "for": span_text(max(0, now_us - started) / 1_000_000),
    }


def _refused_rows(refused: list[Refused], views: list[BucketView]) -> list[Texts]:
    """Return who was refused most: clients by rules of the door, and jobs by buckets."""
    at_buckets = [
        Refused("all clients", f"bucket {view.state.name}, full or draining", view.refused)
        for view in views
        if view.refused
    ]
    most = sorted([*at_buckets, *refused], key=lambda one: -one.count)
    return [
        {
            "key": f"{one.rule} {one.client}",
            "client": one.client,
            "rule": one.rule,
            "times": f"{one.count:,}",
        }
        for one in most[:SHOWN]
    ]
