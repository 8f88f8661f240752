"""The news of a hold: heard by a thread, or seen by who looks before the thread could read it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from socket import socket, socketpair
from typing import Any

import pytest
from redis import Redis
from redis.client import PubSub

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.store import keys
from spigot.worker.rq.command_channel import LISTEN_SECONDS, CommandChannel
from spigot.worker.running.hold_news import HoldNews
from tests.support.processes import wait_for


def claim_now() -> Claim:
    time.sleep(0.001)  # the time of news is rounded
    now = time.monotonic()
    time.sleep(0.001)
    return Claim("id", "default", "token", 0, 0, now, 1, {}, asked_at=now)


@contextmanager
def fork(ask: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
    """Fork a process that asks each time it is told to, and says what it was answered."""
    here, there = socketpair()
    pid = os.fork()
    if pid == 0:
        here.close()
        while there.recv(1):
            there.send(b"1" if ask() else b"0")
        os._exit(0)
    there.close()
    here.settimeout(10)

    def ask_there() -> bool:
        here.send(b"?")
        return here.recv(1) == b"1"

    try:
        yield ask_there
    finally:
        here.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def in_a_fork(ask: Callable[[], bool]) -> bool:
    with fork(ask) as ask_there:
        return ask_there()


@pytest.fixture
def news() -> Iterator[HoldNews]:
    with closing(HoldNews("default")) as news:
        yield news


@pytest.fixture
def subscription(redis: Redis, news: HoldNews) -> Iterator[Any]:
    """One that nobody reads, unless the test does."""
    with redis.pubsub() as subscription:
        news.listen_on(subscribe(subscription, news))
        yield subscription


def subscribe(subscription: Any, news: HoldNews) -> socket:
    """Subscribe to holds; return the connection's socket."""
    subscription.subscribe(**{keys.holds(): news.hear})
    subscription.get_message(timeout=5)
    return subscription.connection._sock


def listeners(redis: Redis) -> set[str]:
    """Return the ids of connections that have subscribed to all that a worker hears."""
    return {one["id"] for one in redis.client_list(_type="pubsub") if one["sub"] == "2"}


def hold(redis: Redis, bucket: str = "default") -> None:
    """Publish a hold; whoever is subscribed has it in its socket after the next answer."""
    assert redis.publish(keys.holds(), bucket) >= 1
    redis.ping()


def test_news_concern_what_was_asked_for_before_them(news):
    before = claim_now()
    assert not news.came_after(before)
    news.hear({"data": b"default"})

    assert news.came_after(before)
    assert not news.came_after(claim_now())


def test_news_of_another_bucket_stop_nothing(news, redis, subscription):
    claim = claim_now()
    for other in ("default2", "defaul", "other"):
        news.hear({"data": other.encode()})
        hold(redis, other)

    assert not news.came_after(claim)


@pytest.mark.parametrize("ask", [lambda ask: ask(), in_a_fork], ids=["here", "in a fork"])
def test_news_count_before_anyone_has_read_them(news, redis, subscription, ask):
    claim = claim_now()
    assert not ask(lambda: news.came_after(claim))
    hold(redis)

    assert ask(lambda: news.came_after(claim))


def test_who_starts_many_jobs_looks_once_a_millisecond(news, redis, subscription):
    claim = claim_now()
    now = time.monotonic()
    assert not news.came_lately_after(claim, now)
    hold(redis)

    assert not news.came_lately_after(claim, now + 0.0009)
    assert news.came_lately_after(claim, now + 0.0011)


def test_who_asks_while_another_thread_is_about_to_look_looks_too(news, redis, subscription):
    claim, now, look = claim_now(), time.monotonic(), news.look
    found = []

    def look_later():
        news.look = look
        found.append(news.came_lately_after(claim, now))
        look()

    hold(redis)
    news.look = look_later

    assert news.came_lately_after(claim, now)
    assert found == [True]


def test_a_fork_hears_what_its_parent_saw(news, redis, subscription):
    claim = claim_now()
    hold(redis)
    news.look()
    subscription.get_message(timeout=5)

    assert in_a_fork(lambda: news.came_after(claim))


@pytest.mark.parametrize("connections", [1, 3])
def test_who_was_forked_before_looks_at_the_newest_connection(news, redis, connections):
    news.share()
    claim = claim_now()
    with fork(lambda: news.came_after(claim)) as ask, redis.pubsub() as subscription:
        for _ in range(connections):
            subscription.reset()
            news.listen_on(subscribe(subscription, news))
            assert not ask()
        hold(redis)

        assert ask()


def test_each_who_was_forked_before_looks_and_so_does_each_of_its_threads(news, redis):
    news.share()
    claim = claim_now()

    def ask_in_threads() -> bool:
        with ThreadPoolExecutor(4) as threads:
            return all(threads.map(lambda _: news.came_after(claim), range(4)))

    with fork(ask_in_threads) as one, fork(ask_in_threads) as other, redis.pubsub() as subscription:
        news.listen_on(subscribe(subscription, news))
        assert not one()
        assert not other()
        hold(redis)

        assert one()
        assert other()


def test_a_look_does_not_wait_for_a_connection_that_is_just_made(news):
    news.share()
    claim = claim_now()
    with fork(lambda: news.came_after(claim)) as ask:
        news._connected[0] = 1  # as if what is in the mailbox had been taken to be replaced

        assert not ask()


def test_what_is_never_read_does_not_stop_what_is_claimed_later(news, redis, subscription):
    hold(redis)
    news.look()
    later = claim_now()
    assert not news.came_after(later)

    hold(redis)
    assert news.came_after(later)


def test_each_hold_counts_anew_once_the_one_before_was_read(news, redis, subscription):
    hold(redis)
    news.look()
    subscription.get_message(timeout=5)
    later = claim_now()
    assert not news.came_after(later)

    hold(redis)
    assert news.came_after(later)


def test_looks_at_the_connection_that_was_made_after_the_first_was_lost(news, redis):
    channel = CommandChannel(redis, "rq:pubsub:worker", lambda message: None, 5, news)
    channel.open()
    wait_for(lambda: listeners(redis))
    lost = listeners(redis)
    for one in lost:
        redis.client_kill_filter(_id=one)
    wait_for(lambda: listeners(redis) - lost)
    claim = claim_now()
    hold(redis)

    wait_for(lambda: news.came_after(claim))
    channel.close()


def test_a_hold_that_nobody_heard_is_news_once_the_connection_stands_again(news, redis):
    channel = CommandChannel(redis, "rq:pubsub:worker", lambda message: None, 5, news)
    channel.open()
    wait_for(lambda: listeners(redis))
    claim = claim_now()
    assert not news.came_after(claim)
    with redis.pipeline() as at_once:
        for one in listeners(redis):
            at_once.client_kill_filter(_id=one)
        at_once.publish(keys.holds(), "default")
        *_, heard_by = at_once.execute()
    assert heard_by == 0

    wait_for(lambda: news.came_after(claim))
    assert not news.came_after(claim_now())
    channel.close()


def test_who_ends_a_subscription_that_was_lost_does_not_connect_it_anew(news, redis, monkeypatch):
    """The thread that reads may do so at the same time, and one of them would fail."""
    channel = CommandChannel(redis, "rq:pubsub:worker", lambda message: None, 5, news)
    channel.open()
    connected_by = []
    monkeypatch.setattr(
        PubSub, "on_connect", lambda *_: connected_by.append(threading.current_thread())
    )
    for one in listeners(redis):
        redis.client_kill_filter(_id=one)
    channel.close()

    assert threading.current_thread() not in connected_by


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_a_subscription_ends_at_once(news, redis, seconds):
    channel = CommandChannel(redis, "rq:pubsub:worker", lambda message: None, 5, news)
    channel.open()
    time.sleep(seconds)  # the thread has or has not begun to read
    begun = time.monotonic()
    channel.close()

    assert time.monotonic() - begun < LISTEN_SECONDS / 2
    wait_for(lambda: not listeners(redis))
