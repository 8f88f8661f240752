import json

import pytest

from jobs import enqueueing
from jobs.bucket_config import BucketConfig
from jobs.bucket_publishing import BucketPublisher
from jobs.job_catalog import JobCatalog
from jobs.job_queue import JobQueue

NUMBERS = {
    "default": BucketConfig(rate="10/s", capacity=3),
    "narrow": BucketConfig(rate="60/m burst 3", capacity=2, max_running=4, workers=5),
}


@pytest.fixture
def catalog():
    return JobCatalog.load(["tests.sample_app"])


@pytest.fixture
def queue(redis, catalog):
    """The queue of the sample application, whose buckets are published."""
    BucketPublisher(redis).publish(NUMBERS)
    return JobQueue(redis, catalog, NUMBERS, keep_seconds=600)


@pytest.fixture
def program_environment(redis, redis_url, monkeypatch, tmp_path):
    """The environment of a program that uses the sample application."""
    buckets = tmp_path / "buckets.json"
    numbers = {name: config.model_dump(mode="json") for name, config in NUMBERS.items()}
    buckets.write_text(json.dumps(numbers))
    monkeypatch.chdir(tmp_path)  # no .env, no data folder of somebody else
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("SPIGOT_APPS", "tests.sample_app")
    monkeypatch.setenv("SPIGOT_BUCKETS", str(buckets))
    enqueueing._queue.cache_clear()
    yield
    enqueueing._queue.cache_clear()
