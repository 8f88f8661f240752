"""Workers as processes, and the jobs that they are given."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.types.job_catalog import JobCatalog
from tests.support.fast_workers import APPS, ForkServer, WorkerProcess
from tests.support.servers import Server, own_server

QUEUES = ["default-high", "default", "default-low"]


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    fork_server = ForkServer()
    yield fork_server
    fork_server.close()


@pytest.fixture(scope="session")
def catalog() -> JobCatalog:
    return JobCatalog.load(APPS)


@pytest.fixture
def numbers() -> dict[str, Any]:
    """Numbers of the bucket that the workers serve."""
    return {"rate": "200/s"}


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that the test may kill; it keeps its data."""
    with own_server(durable=True) as server:
        yield server


StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(
    fork_server: ForkServer,
    redis: Redis,
    redis_url: str,
    tmp_path: Path,
    numbers: dict[str, Any],
) -> Iterator[StartWorker]:
    """Start a worker of the bucket ``default``; fields of ``Settings`` may be given."""
    started: list[WorkerProcess] = []

    buckets = tmp_path / "buckets.json"
    buckets.write_text(json.dumps({"default": numbers}))

    def start(
        queues: list[str] = QUEUES,
        work: dict[str, Any] | None = None,
        simple: bool = False,
        concurrency: int = 1,
        **settings: Any,
    ) -> WorkerProcess:
        fields = {
            "redis_url": redis_url,
            "data_dir": str(tmp_path),
            "buckets": str(buckets),
            "lease_seconds": 2,
        }
        worker = fork_server.start(
            fields | settings,
            queues=queues,
            simple=simple,
            concurrency=concurrency,
            log_path=tmp_path / f"worker-{len(started)}.log",
            **(work or {}),
        )
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
        print(f"worker {worker.pid}:\n{worker.log}")


@pytest.fixture
def job_queue(redis: Redis, catalog: JobCatalog, numbers: dict[str, Any]) -> JobQueue:
    config = BucketConfig.model_validate(numbers)
    return JobQueue(redis, catalog, {"default": config}, keep_seconds=3600)


@pytest.fixture
def rq_queue(redis: Redis) -> Queue:
    """RQ's own queue, as existing code uses it."""
    return Queue("default", connection=redis, serializer="json")
