"""Examples in the API's documentation."""

from typing import Any

from spigot.jobs.bucket.control import BucketChange
from spigot.jobs.bucket.state import BucketState
from spigot.jobs.job.state import JobState
from spigot.webapp.routes.one_job import DetailedJob

JOB = {
    "id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "type": "document",
    "status": "queued",
    "bucket": "default",
    "priority": "default",
    "position": 3,
    "estimated_start_at": "2026-01-01T12:00:00.250000Z",
    "estimated_start_in": 0.25,
    "attempts": 0,
    "enqueued_at": "2026-01-01T12:00:00.000000Z",
    "started_at": None,
    "ended_at": None,
    "progress": None,
    "result": None,
    "error": None,
}

EXAMPLES: dict[Any, Any] = {
    JobState: JOB,
    DetailedJob: {
        **JOB,
        "payload": {"doc_id": "doc_1"},
        "traceback": None,
        "worker": None,
        "cost": None,
        "cost_actual": None,
    },
    BucketState: {
        "name": "default",
        "rate": "10/s",
        "interval": 0.1,
        "burst": 1,
        "capacity": 1000,
        "waiting": 12,
        "delayed": 0,
        "running": 2,
        "max_running": None,
        "workers": 2,
        "concurrency": 2,
        "budgets": {},
        "waits_for": None,
        "paused": False,
        "draining": False,
        "held_until": None,
        "hold_reason": None,
        "hold_kind": None,
        "probing": False,
        "next_leak_at": "2026-01-01T12:00:00.100000Z",
        "sources": {
            "rate": "file",
            "capacity": "default",
            "max_running": "default",
            "paused": "default",
            "draining": "default",
        },
    },
    BucketChange: {"rate": "5/s", "paused": False},
}
"""By type; a test holds them against the schemas."""
