import json
from functools import cache, partial

import fakeredis
import pytest
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from spigot import create_app
from spigot.jobs.bucket.config import load_bucket_configs
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.runtime.settings import load_settings

BUCKETS = {
    "default": {"rate": "10/s", "capacity": 3},
    "narrow": {"rate": "60/m burst 3", "capacity": 2},
}


def settings_in(folder, **overrides):
    """Return the settings of the sample application, whose files lie in ``folder``."""
    buckets = folder / "buckets.json"
    buckets.write_text(json.dumps(BUCKETS))
    rules = folder / "rate_limits.json"
    rules.write_text("{}")
    defaults = {
        "redis_url": "redis://fake",
        "apps": ("tests.support.minimal_app",),
        "buckets": buckets,
        "rate_limits": rules,
        "admin_password": None,
    }
    return load_settings(**{**defaults, **overrides})


@pytest.fixture
def settings(tmp_path):
    """Return a function that builds the settings of the sample application."""
    return partial(settings_in, tmp_path)


@pytest.fixture(scope="session")
def imitated_server():
    return fakeredis.FakeServer()


@pytest.fixture
def server(monkeypatch, imitated_server):
    """An imitated server, which is enough for views; tests of its faults have a real one."""

    def connect(url, *, timeout, **options):
        return fakeredis.FakeStrictRedis(server=imitated_server)

    monkeypatch.setattr("spigot.webapp.app.connect", connect)
    monkeypatch.setattr("spigot.webapp.door.door.connect", connect)
    connection = fakeredis.FakeStrictRedis(server=imitated_server)
    yield connection
    connection.flushall()


@pytest.fixture(scope="session")
def shared_app(tmp_path_factory):
    """Return a function that returns an app with these settings, built once for the whole run.

    For tests that neither change the app nor its files, nor count what it has served.
    """
    folder = tmp_path_factory.mktemp("shared")

    @cache
    def built(**overrides):
        return create_app(settings_in(folder, **overrides))

    def shared_app(redis, **overrides):
        app = built(**overrides)
        buckets = load_bucket_configs(folder / "buckets.json")
        BucketPublisher(redis).publish(buckets)  # the test before has had them flushed
        return app

    return shared_app


@pytest.fixture
def app(server, shared_app):
    return shared_app(server)


@pytest.fixture
def own_app(server, settings):
    """An app of the test alone, which may change it."""
    return create_app(settings())


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def work_off(redis_url):
    """Return a function that lets a stock worker run what waits."""

    def work():
        with Redis.from_url(redis_url) as own:
            worker = SimpleWorker(["default"], connection=own, serializer=JSONSerializer)
            worker.work(burst=True, logging_level="CRITICAL")

    return work
