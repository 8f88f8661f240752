"""What attempts tell is written from a thread, however often the server does not answer."""

import threading
from collections import defaultdict

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from spigot.worker.running import background_writer
from spigot.worker.running.background_writer import BackgroundWriter
from tests.support.processes import wait_for


class Written:
    """Stands for what a writer writes with: takes values, or fails as an absent server does."""

    def __init__(self):
        self.values = defaultdict(list)
        self.is_away = False
        self.failures = 0

    def __call__(self, redis):
        return self.write

    def write(self, token, value):
        if self.is_away:
            self.failures += 1
            raise RedisConnectionError("away")
        self.values[token].append(value)


@pytest.fixture
def written():
    return Written()


@pytest.fixture
def writer(redis, written, monkeypatch):
    monkeypatch.setattr(background_writer, "RETRY_SECONDS", 0.01)
    writer = BackgroundWriter(redis, "notes", written)
    yield writer
    writer.close()
    if writer._thread:
        writer._thread.join(20)
        assert not writer._thread.is_alive()


def test_nothing_to_write_opens_no_thread(writer):
    assert writer._thread is None


def test_the_last_value_of_each_attempt_is_written(writer, written):
    for number in range(100):
        writer.write_soon("a", number)
        writer.write_soon("b", -number)

    wait_for(lambda: written.values["a"][-1:] == [99] and written.values["b"][-1:] == [-99])
    assert written.values["a"] == sorted(written.values["a"])


def test_no_value_of_any_attempt_is_lost_while_the_server_is_away(writer, written):
    written.is_away = True
    for token in "abc":
        writer.write_soon(token, 1)
    wait_for(lambda: written.failures > 3)
    writer.write_soon("b", 2)
    failures = written.failures
    wait_for(lambda: written.failures > failures + 1)  # it has seen the newer value

    written.is_away = False

    wait_for(lambda: dict(written.values) == {"a": [1], "b": [2], "c": [1]})


def test_what_is_forgotten_is_not_written(writer, written):
    is_writing, may_go_on = threading.Event(), threading.Event()

    def write(token, value):
        is_writing.set()
        may_go_on.wait(20)
        Written.write(written, token, value)

    written.write = write
    writer.write_soon("first", 1)
    is_writing.wait(20)
    writer.write_soon("ended", 1)
    writer.write_soon("last", 1)
    writer.forget("ended")
    may_go_on.set()

    wait_for(lambda: "last" in written.values)
    assert set(written.values) == {"first", "last"}


def test_a_closed_one_opens_no_thread(redis, written):
    writer = BackgroundWriter(redis, "notes", written)
    writer.close()

    writer.write_soon("a", 1)

    assert writer._thread is None
