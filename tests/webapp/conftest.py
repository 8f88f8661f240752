import json
from collections.abc import Iterator
from functools import cache
from unittest.mock import patch

import pytest
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from spigot import create_app
from spigot.jobs.bucket.config import load_bucket_configs
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.runtime.settings import load_settings
from tests.support.servers import Server, own_server

BUCKETS = {
    "default": {"rate": "10/s", "capacity": 3},
    "narrow": {"rate": "60/m burst 3", "capacity": 2},
}

PATIENCE = 5
"""Seconds that the web waits for the server of the tests, which is never away."""


def settings_in(folder, **overrides):
    """Return the settings of the sample application, whose files lie in ``folder``."""
    buckets = folder / "buckets.json"
    buckets.write_text(json.dumps(BUCKETS))
    rules = folder / "rate_limits.json"
    rules.write_text("{}")
    defaults = {
        "apps": ("tests.support.minimal_app",),
        "buckets": buckets,
        "rate_limits": rules,
        "admin_password": None,
    }
    return load_settings(**{**defaults, **overrides})


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that the test may let hang, or kill; it is empty when it is started again."""
    with own_server() as server:
        yield server


@pytest.fixture
def settings(tmp_path, redis_url):
    """Return a function that builds the settings of the sample application."""

    def settings(**overrides):
        is_its_own = {"redis_url", "limits_redis_url"} & overrides.keys()
        patience = {} if is_its_own else {"door_deadline": PATIENCE}
        return settings_in(tmp_path, **{"redis_url": redis_url, **patience, **overrides})

    return settings


def patient_app(settings):
    """Return an app that waits for a server on a busy machine."""
    with patch("spigot.webapp.app.WEB_REPLY_SECONDS", PATIENCE):
        return create_app(settings)


@pytest.fixture(scope="session")
def shared_app(tmp_path_factory, redis_url):
    """Return a function that returns an app with these settings, built once for the whole run.

    For tests that neither change the app nor its files, nor count what it has served.
    """
    folder = tmp_path_factory.mktemp("shared")

    @cache
    def built(**overrides):
        own = {"redis_url": redis_url, "door_deadline": PATIENCE, **overrides}
        return patient_app(settings_in(folder, **own))

    def shared_app(redis, **overrides):
        app = built(**overrides)
        buckets = load_bucket_configs(folder / "buckets.json")
        BucketPublisher(redis).publish(buckets)  # the test before has had them flushed
        return app

    return shared_app


@pytest.fixture
def app(redis, shared_app):
    return shared_app(redis)


@pytest.fixture
def own_app(redis, settings):
    """An app of the test alone, which may change it."""
    return patient_app(settings())


@pytest.fixture
def client(app):
    return app.test_client()


class _Worker(SimpleWorker):
    """One that hears no commands: for the end of the thread that does, it would wait a second."""

    def subscribe(self):
        """Hear nothing."""


@pytest.fixture
def work_off(redis_url):
    """Return a function that lets a stock worker run what waits."""

    def work():
        with Redis.from_url(redis_url) as own:
            worker = _Worker(["default"], connection=own, serializer=JSONSerializer)
            worker.work(burst=True, logging_level="CRITICAL")

    return work
