import time

import pytest

from spigot.jobs.job import events as job_events
from spigot.jobs.job.events import JobEvents
from spigot.jobs.store import keys
from spigot.runtime.server.redis_connection import connect
from tests.support.processes import wait_for
from tests.support.servers import own_server


@pytest.fixture
def events(redis_url):
    events = JobEvents(connect(redis_url, timeout=0.5))
    yield events
    events.close()


def test_at_first_all_must_be_read(events):
    assert events.wait(1) is None
    assert events.wait(0) == set()


def test_every_move_of_a_job_is_heard(events, bucket):
    events.wait(1)
    bucket.enqueue("a", "retried")
    assert events.wait(5) == {"a"}
    claim = bucket.claim()
    assert events.wait(5) == {"a"}
    bucket.retry(claim, delay=1)
    assert events.wait(5) == {"a"}
    bucket.sleep(1)
    claim = bucket.claim()  # promoted and started
    assert events.wait(5) == {"a"}
    bucket.hold(claim, seconds=1)
    assert events.wait(5) == {"a"}
    bucket.finish(bucket.claim())
    assert events.wait(5) == {"a"}


def test_several_are_heard_together(events, bucket):
    events.wait(1)
    for number in range(5):
        bucket.enqueue(f"job-{number}")

    heard: set[str] = set()
    while len(heard) < 5:
        heard |= events.wait(5)

    assert heard == {f"job-{number}" for number in range(5)}


def test_a_change_ends_the_wait(events, redis, soon):
    events.wait(1)
    soon(redis.publish, keys.job_events(), "a")

    began = time.monotonic()
    assert events.wait(30) == {"a"}
    assert time.monotonic() - began < 10


def test_after_the_server_was_gone_all_must_be_read_again():
    with own_server() as server:
        events = JobEvents(connect(server.url, timeout=0.5))
        assert events.wait(1) is None
        server.kill()
        assert events.wait(30) == set()
        assert events.wait(0) == set()
        server.start()
        wait_for(lambda: events.wait(0) is None)
        connect(server.url, timeout=5).publish(keys.job_events(), "a")
        assert events.wait(5) == {"a"}
        events.close()


def test_a_server_that_hangs_is_noticed(monkeypatch):
    monkeypatch.setattr(job_events, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(job_events, "SUBSCRIBE_SECONDS", 0.2)
    with own_server() as server:
        events = JobEvents(connect(server.url, timeout=0.2))
        assert events.wait(1) is None
        for _ in range(5):  # one that answers when it is asked is only quiet
            assert events.wait(0.15) == set()
        assert events._pubsub is not None

        server.hang()
        wait_for(lambda: events.wait(0.1) == set() and events._pubsub is None)
        server.go_on()
        wait_for(lambda: events.wait(0.1) is None)
        events.close()


def test_says_once_that_the_server_is_away_and_once_that_it_is_back(caplog):
    with own_server() as server:
        events = JobEvents(connect(server.url, timeout=0.5))
        events.wait(1)
        server.kill()
        for _ in range(3):
            events.wait(1)
        server.start()
        wait_for(lambda: events.wait(0) is None)
        events.close()

    assert [record.message.partition(",")[0] for record in caplog.records] == [
        "changes of jobs are not heard",
        "changes of jobs are heard again",
    ]
