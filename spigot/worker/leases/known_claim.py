"""What a worker knows of an attempt from its claim, so that its usual end reads hardly anything."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.store.stored_values import stored_int
from spigot.jobs.store.times import utc_text

UNUSUAL = (
    b"dependency_id",  # RQ may have brought it back though it was cancelled
    b"ended_at",  # likewise whoever had it run again
    b"repeats_left",
    b"reserved",
    b"spigot_reaps",
    b"spigot_suspicion",
)
"""Fields of a claimed job that only the long way of ``complete.lua`` heeds."""

MOST_BRACKETS = 1000
"""How deep ``cjson`` reads."""

ENCODER = json.JSONEncoder(ensure_ascii=False)
"""Made once: ``json.dumps`` makes one for each call."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class KnownClaim:
    """What ``complete.lua`` takes of a claim.

    Attributes:
        queue: Name.
        entry: Of RQ's list of what is running.
        args: For the attempt, in the script's order.
    """

    queue: str
    entry: str
    args: Sequence[Any]


def known_of(claim: Claim, bucket: str, worker: str, type_name: str) -> KnownClaim | None:
    """Return what ``complete.lua`` takes of a claim.

    Args:
        claim: Whose attempt ends.
        bucket: Its name.
        worker: Name of the one that ends it.
        type_name: Of the job, for the result log.

    Returns:
        None if the job is none of the catalog's, something happened to it before its
        claim, or another worker claimed it: then the script reads what it needs.
    """
    fields = claim.fields
    enqueued = fields.get(b"spigot_enqueued_us", b"")
    enqueued_us = stored_int(enqueued) if enqueued.isdigit() else 0
    is_new = fields.get(b"created_at") == fields.get(b"enqueued_at")  # and was never requeued
    is_typed = fields.get(b"spigot_type") == type_name.encode("utf-8", "replace")
    logged = _logged(fields)
    if not (enqueued_us and is_new and is_typed) or logged is None:
        return None
    if any(map(fields.get, UNUSUAL)) or fields.get(b"worker_name") != worker.encode():
        return None
    slot_us = claim.slot_us
    begin, end = _shared_head(type_name, bucket, worker)
    head = (
        f'","id":{_json(claim.job_id)}{begin}{claim.attempt}{end}'
        f'{_seconds(max(0, slot_us - enqueued_us))},"ran_for":'
    )
    args = [
        claim.job_id,
        slot_us,
        _seconds(slot_us),
        utc_text(slot_us)[: -len("00.000000Z")],
        head,
        logged,
    ]
    return KnownClaim(claim.queue, f"{claim.job_id}:{claim.token}", args)


@lru_cache(maxsize=256)
def _shared_head(type_name: str, bucket: str, worker: str) -> tuple[str, str]:
    """Return what the lines of all jobs of a type have in common, before and after the attempt."""
    return (
        f',"type":{_json(type_name)},"bucket":{_json(bucket)},"status":"finished","attempt":',
        f',"worker":{_json(worker)},"queued_for":',
    )


def _logged(fields: Mapping[bytes, bytes]) -> str | None:
    """Return what the type wants logged; None if ``result_log.lua`` is to say what of it."""
    stored = fields.get(b"spigot_log")
    if stored is None:
        return "{}"
    try:
        text = stored.decode()
        if CONTROL.search(text) or text.count("[") + text.count("{") > MOST_BRACKETS:
            return None
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate is no text
    except ValueError:
        return None
    return text


def _json(text: str) -> str:
    """Return the text as ``cjson`` writes it."""
    written: str = ENCODER.encode(text)
    return written.replace("/", "\\/").replace("\x7f", "\\u007f")


def _seconds(us: int) -> str:
    return f"{us / 1_000_000:.6f}"
