"""Reads the times of a job's hash: half of what RQ takes for a job goes into four of them."""

import re
from collections.abc import Mapping
from datetime import datetime

TIMES = ("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat")
"""Fields of the hash, and attributes of RQ's job."""

USUAL = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
"""As RQ and our scripts write them; RQ reads others as well."""


def is_usual_time(stored: bytes) -> bool:
    """Return whether Python reads a time as RQ does, in a tenth of the time."""
    return USUAL.fullmatch(stored) is not None


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
        if stored is not None and is_usual_time(stored):
            del others[name.encode()]
            times[name] = datetime.fromisoformat(stored.decode())
    return others, times
