"""Reads the times of a job's hash: half of what RQ takes for a job goes into four of them."""

import re
from collections.abc import Mapping
from datetime import datetime

TIMES = ("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat")
"""Fields of the hash, and attributes of RQ's job."""

USUAL = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
"""As RQ and our scripts write them; RQ reads others as well."""


def usual_time(stored: bytes) -> datetime | None:
    """Return a time that Python reads as RQ does, in a tenth of the time; None for another.

    Raises:
        ValueError: As RQ, for a time that cannot be.
    """
    return datetime.fromisoformat(stored.decode()) if USUAL.fullmatch(stored) else None


def split_usual_times(
    fields: Mapping[bytes, bytes],
) -> tuple[dict[bytes, bytes], dict[str, datetime]]:
    """Return the fields that are left to RQ, and the times among the others.

    Raises:
        ValueError: As RQ, for a time that cannot be.
    """
    others, times = dict(fields), {}
    for name in TIMES:
        stored = fields.get(name.encode())
        if stored is not None and (time := usual_time(stored)):
            del others[name.encode()]
            times[name] = time
    return others, times
