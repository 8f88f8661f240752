"""Who was refused most."""

import threading
from collections import Counter

import pytest

from spigot.runtime.server.redis_connection import connect
from spigot.webapp.door.rate_limits import refusal_counts
from spigot.webapp.door.rate_limits.refusal_counts import RefusalCounts, write_refusals
from spigot.webapp.door.rate_limits.refused_clients import Refused, most_refused
from tests.support.processes import wait_for
from tests.support.round_trips import counted_round_trips
from tests.support.servers import own_server


class Written:
    """Collects what a process hands on."""

    def __init__(self):
        self.batches = []

    def __call__(self, counts):
        self.batches.append(counts)

    @property
    def total(self):
        return sum(self.batches, Counter())


@pytest.fixture
def written():
    return Written()


@pytest.fixture
def counts(written):
    return RefusalCounts(written)


def test_nothing_runs_before_the_first_refusal(begun_threads, counts):
    assert not begun_threads()


def test_refusals_are_added_up(counts, written):
    for _ in range(1000):
        counts.add("192.0.2.1", "default")
    counts.add("192.0.2.2", "default")

    wait_for(lambda: written.total == {("192.0.2.1", "default"): 1000, ("192.0.2.2", "default"): 1})


def test_they_are_written_at_most_once_in_an_interval(written, monkeypatch):
    monkeypatch.setattr(refusal_counts, "INTERVAL", 7.0)
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) < 3:
            counts.add("192.0.2.1", "default")

    counts = RefusalCounts(written, sleep)
    counts.add("192.0.2.1", "default")
    wait_for(lambda: len(pauses) == 3)

    assert pauses == [7.0] * 3
    assert len(written.batches) == 3


def test_the_thread_ends_with_the_refusals_and_starts_again(
    begun_threads, counts, written, monkeypatch
):
    monkeypatch.setattr(refusal_counts, "INTERVAL", 0.01)
    for times in (1, 2):
        counts.add("192.0.2.1", "default")
        wait_for(lambda times=times: len(written.batches) == times)
        wait_for(lambda: not begun_threads())


def test_a_rotation_of_addresses_does_not_grow_a_process(counts, written, monkeypatch):
    monkeypatch.setattr(refusal_counts, "MAX_CLIENTS", 10)
    monkeypatch.setattr(refusal_counts, "INTERVAL", 0.01)
    hold = threading.Event()
    monkeypatch.setattr(counts, "_write", lambda batch: (hold.wait(), written(batch)))
    counts.add("first", "default")
    wait_for(lambda: not counts._counts)
    for number in range(100):
        counts.add(f"client {number}", "default")
        counts.add("client 0", "default")
    hold.set()

    wait_for(lambda: len(written.batches) == 2)
    assert len(written.batches[1]) == 10
    assert written.batches[1]["client 0", "default"] == 101


def test_the_most_refused_come_first(redis):
    write_refusals(redis, Counter({("192.0.2.1", "a b:c"): 3, ("192.0.2.2", "default"): 5}))
    write_refusals(redis, Counter({("192.0.2.1", "a b:c"): 4}))

    assert most_refused(redis, 10) == [
        Refused("192.0.2.1", "a b:c", 7),
        Refused("192.0.2.2", "default", 5),
    ]
    assert len(most_refused(redis, 1)) == 1


def test_redis_keeps_a_bounded_number_for_a_bounded_time(redis, monkeypatch):
    monkeypatch.setattr(refusal_counts, "MAX_CLIENTS", 10)
    write_refusals(redis, Counter({("heavy", "r"): 50}))
    for start in range(0, 200, 10):
        batch = {(f"client {number}", "r"): 1 for number in range(start, start + 10)}
        write_refusals(redis, Counter(batch))

    (key,) = redis.scan_iter()
    assert redis.zcard(key) == 10
    assert most_refused(redis, 1) == [Refused("heavy", "r", 50)]
    assert 3600 <= redis.ttl(key) <= 3900


def test_an_hour_is_added_up(redis, monkeypatch):
    now = 1_757_000_000
    for ago in (0, 600, 3299, 3601, 7200):
        monkeypatch.setattr(refusal_counts.time, "time", lambda ago=ago: now - ago)
        write_refusals(redis, Counter({("192.0.2.1", "r"): 1}))
    monkeypatch.setattr(refusal_counts.time, "time", lambda: now)

    assert most_refused(redis, 1) == [Refused("192.0.2.1", "r", 3)]


def test_writing_is_one_round_trip(redis):
    redis.ping()

    with counted_round_trips() as sent:
        write_refusals(redis, Counter({(str(number), "r"): 1 for number in range(50)}))

    assert len(sent) == 1


def test_a_server_that_is_away_loses_a_second_and_nothing_else(caplog):
    caplog.set_level("DEBUG")
    with own_server() as server:
        server.kill()
        write_refusals(connect(server.url, timeout=1), Counter({("192.0.2.1", "r"): 1}))

    assert "are not counted" in caplog.text
