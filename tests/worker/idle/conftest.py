"""A claimer on a real server, and what ends the attempts that it claims."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from redis import Redis

from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.worker.idle.claim_horizon import ClaimHorizon
from spigot.worker.idle.claimer import Claimer
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms
from spigot.worker.leases.result_log import ResultLog
from spigot.worker.running.early_stops import EarlyStops

TERMS = LeaseTerms(lease_ms=15_000, max_reaps=3, keep_seconds=3600)


@pytest.fixture
def leases(redis: Redis) -> LeaseStore:
    return LeaseStore(redis, "default", "worker", TERMS)


@pytest.fixture
def result_log(tmp_path: Path) -> ResultLog:
    return ResultLog(tmp_path / "results.jsonl", 10**9)


@pytest.fixture
def make_claimer(bucket: LeakyBucket, result_log: ResultLog) -> Callable[..., Claimer]:
    """Return a function that makes a claimer which asks early."""

    def make(**options: Any) -> Claimer:
        claimer = Claimer(
            bucket,
            "worker",
            lease_ms=TERMS.lease_ms,
            rq_ttl=60,
            result_log=result_log,
            restore=Mock(),
            on_claim=Mock(),
            horizon=ClaimHorizon(),
            early_stops=EarlyStops(),
            **options,
        )
        claimer.asks_early = True
        return claimer

    return make
