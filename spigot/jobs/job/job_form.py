"""What RQ stores for a job: written once for all jobs of a type, and for each its own."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from spigot.jobs.types.job_types import JobType
from spigot.jobs.types.payloads import AcceptedPayload

DESCRIPTION = "spigot job"
"""RQ's default would show the arguments, and with them secrets, in logs and the dashboard."""


STORED_BYTES = 53
"""So many are kept as they are: compressed they would hardly be fewer, and with zlib's 11 bytes
Redis still keeps the job's fields in its small form, whose values have at most 64."""

SMALL_BYTES = 512
"""zlib's window for payloads of at most so many."""


@dataclass(frozen=True, slots=True)
class JobForm:
    """The fields of a type's jobs.

    RQ also stores fields that are empty, and reads their absence as the same.

    Attributes:
        call: How the JSON of each job's call begins, up to its payload.
        shared: Alternating name and value of the fields that all its jobs have.
    """

    call: bytes
    shared: tuple[str | int, ...]

    @classmethod
    def of(cls, job_type: JobType, keep_seconds: int) -> "JobForm":
        """Write the fields that all jobs of a type have.

        Args:
            job_type: Whose jobs they are.
            keep_seconds: How long they are kept after their end, >= 1.
        """
        fields: dict[str, str | int] = {
            "description": DESCRIPTION,
            "timeout": job_type.timeout,
            "result_ttl": keep_seconds,
            "failure_ttl": keep_seconds,
            "spigot_type": job_type.name,
        }
        if retries := job_type.retries.retries:
            fields |= {"retries_left": retries, "retry_intervals": "[0]"}
        shared = tuple(part for pair in fields.items() for part in pair)
        return cls(f"[{json.dumps(job_type.function_name)}, null, [], ".encode(), shared)

    def own(
        self, payload: AcceptedPayload, costs: str | None = None, request_id: str | None = None
    ) -> Sequence[str | bytes]:
        """Return alternating name and value of the fields that one job has of its own.

        Args:
            payload: The job's.
            costs: What it takes of its bucket's budgets, as scripts read it; None: of none.
            request_id: Of the request that makes it, which its workers' lines name.
        """
        fields: list[str | bytes] = ["data", _compressed(b"%b%b]" % (self.call, payload.text))]
        if payload.logged:
            fields += ["spigot_log", json.dumps(payload.logged, ensure_ascii=False)]
        if payload.hidden:  # kept with the job, so that whoever shows it needs no catalog
            fields += ["spigot_hidden", json.dumps(sorted(payload.hidden))]
        if costs is not None:
            fields += ["spigot_cost", costs]
        if request_id:
            fields += ["spigot_request_id", request_id]
        return fields


def _compressed(data: bytes) -> bytes:
    """Return what ``zlib.decompress`` reads, as RQ does.

    zlib's usual 256 KB of working memory take longer to fill than a small payload to compress.
    """
    if (size := len(data)) <= STORED_BYTES:  # Source: RFC 1950; RFC 1951, 3.2.4
        checksum = zlib.adler32(data).to_bytes(4, "big")
        return b"x\x01\x01%c\0%c\xff%b%b" % (size, 255 - size, data, checksum)
    if size > SMALL_BYTES:
        return zlib.compress(data)
    small = zlib.compressobj(wbits=9, memLevel=1)
    return small.compress(data) + small.flush()
