"""Who must connect anew because a primary was asked for, and who need not."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from spigot.jobs.store.primary_watch import PrimaryWatch
from spigot.runtime.server.redis_connection import connect, lone_connection
from tests.support.processes import wait_for


@pytest.fixture
def asked() -> Iterator[int]:
    """Counts how often the watch was about to ask."""
    return itertools.count()


@pytest.fixture
def watch(redis_url: str, asked: Iterator[int]) -> Iterator[PrimaryWatch]:
    with (
        connect(redis_url, timeout=5) as redis,
        closing(PrimaryWatch(redis, lambda: next(asked) >= 0)) as watch,
    ):
        yield watch


@pytest.fixture
def connection(redis_url: str) -> Iterator[Any]:
    connection = lone_connection(connect(redis_url, timeout=5))
    connection.connect()
    yield connection
    connection.disconnect()


def test_who_connected_before_it_connects_anew(watch, connection):
    watch.start()

    wait_for(connection.should_reconnect)


def test_who_connects_after_it_need_not_connect_anew(watch, asked, redis_url):
    watch.connect()
    later = lone_connection(connect(redis_url, timeout=5))
    later.connect()
    watch.start()
    wait_for(lambda: next(asked) >= 2)  # so that one was answered

    assert not later.should_reconnect()
    later.disconnect()
