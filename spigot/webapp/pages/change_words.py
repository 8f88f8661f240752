"""Who did what to a bucket, in words."""

from collections.abc import Iterable
from typing import Any

from spigot.jobs.overview.number_texts import ago_text
from spigot.jobs.overview.reading import BucketView

from .cards import Texts

SHOWN = 8

SWITCHES = {
    ("paused", True): "paused it",
    ("paused", False): "resumed it",
    ("draining", True): "let it drain: it accepts no new jobs",
    ("draining", False): "let it accept jobs again",
}
NAMES = {"max_running": "places", "rate": "rate", "capacity": "capacity", "workers": "workers"}


def changes_of(views: Iterable[BucketView], now_us: int, most: int = SHOWN) -> list[Texts]:
    """Return the last changes of all buckets, newest first."""
    found = [
        (str(record["at"]), view.state.name, record) for view in views for record in view.changes
    ]
    found.sort(key=lambda each: each[0], reverse=True)
    return [_row(bucket, record, now_us) for _, bucket, record in found[:most]]


def change_in_words(record: dict[str, Any]) -> str:
    """Return what was done, such as ``set the rate to 5/s, was 10/s``."""
    changes = record["changes"]
    told = [_one(field, pair) for field, pair in changes.items()] if changes else []
    return "; ".join(text for text in told if text) or "changed nothing"


def _one(field: str, pair: Any) -> str:
    before, after = (str(value) for value in pair) if len(pair) == 2 else ("", "")
    if field == "held_until":
        return "ended its hold"
    if field == "purged":
        return f"cancelled {after} that waited"
    if (field, bool(after)) in SWITCHES:
        return SWITCHES[field, bool(after)]
    was = f", was {_value(before)}" if before else ""
    return f"set the {NAMES.get(field, field)} to {_value(after)}{was}"


def _value(text: str) -> str:
    return "no limit" if text in ("", "0") else text


def _row(bucket: str, record: dict[str, Any], now_us: int) -> Texts:
    at = str(record["at"])
    return {
        "key": f"{at} {bucket}",
        "ago": ago_text(at, now_us),
        "bucket": bucket,
        "by": str(record["by"]),
        "did": change_in_words(record),
    }
