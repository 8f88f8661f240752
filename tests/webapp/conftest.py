import json

import fakeredis
import pytest
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from spigot import create_app
from spigot.runtime.settings import load_settings

BUCKETS = {
    "default": {"rate": "10/s", "capacity": 3},
    "narrow": {"rate": "60/m burst 3", "capacity": 2},
}


@pytest.fixture
def settings(tmp_path):
    """Return a function that builds the settings of the sample application."""
    buckets = tmp_path / "buckets.json"
    buckets.write_text(json.dumps(BUCKETS))
    rules = tmp_path / "rate_limits.json"
    rules.write_text("{}")
    defaults = {
        "redis_url": "redis://fake",
        "apps": ("tests.support.minimal_app",),
        "buckets": buckets,
        "rate_limits": rules,
        "admin_password": None,
    }
    return lambda **overrides: load_settings(**{**defaults, **overrides})


@pytest.fixture
def server(monkeypatch):
    """An imitated server, which is enough for views; tests of its faults have a real one."""
    server = fakeredis.FakeServer()

    def connect(url, *, timeout, **options):
        return fakeredis.FakeStrictRedis(server=server)

    monkeypatch.setattr("spigot.webapp.app.connect", connect)
    monkeypatch.setattr("spigot.webapp.door.door.connect", connect)
    return fakeredis.FakeStrictRedis(server=server)


@pytest.fixture
def app(server, settings):
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
