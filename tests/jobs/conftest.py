import json

import pytest

from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.program import program_at
from spigot.jobs.types.job_catalog import JobCatalog
from tests.support.minimal_app import NUMBERS


@pytest.fixture
def catalog():
    return JobCatalog.load(["tests.support.minimal_app"])


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
    monkeypatch.setenv("SPIGOT_APPS", "tests.support.minimal_app")
    monkeypatch.setenv("SPIGOT_BUCKETS", str(buckets))
    program_at.cache_clear()
    yield
    program_at.cache_clear()
