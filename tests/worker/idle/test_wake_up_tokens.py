"""How an idle worker waits for a wake-up, while it does other things or none."""

import pytest

from spigot.jobs.bucket.claim_answers import Wait
from spigot.jobs.store import keys
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.idle.wake_up_tokens import WakeUpTokens
from spigot.worker.process.interruptible_redis import interruptible
from tests.support.processes import wait_for

POLLER, SLEEPER = Wait(1.0, 0), Wait(1.0, 0, polling=False)
WAKE_UP, STANDBY = keys.wake_up("default"), keys.standby_wake_up("default")


@pytest.fixture
def tokens(redis):
    stop = StopSignals()
    tokens = WakeUpTokens(interruptible(redis, stop, timeout=30), "default", stop)
    yield tokens
    tokens.end()


def waiting(redis) -> int:
    return sum(
        client["cmd"] == "blpop" and "b" in client["flags"] for client in redis.client_list()
    )


@pytest.mark.parametrize("answer", [POLLER, SLEEPER])
def test_a_token_ends_a_wait_whenever_it_is_put(tokens, redis, answer):
    tokens.begin(20, answer)
    assert not tokens.is_over_within(0.01)

    redis.lpush(WAKE_UP, "1")

    assert tokens.is_over_within(10)
    assert not redis.exists(WAKE_UP)


def test_a_standby_is_no_poller_yet(tokens, redis):
    tokens.begin(20, POLLER)
    redis.lpush(STANDBY, "1")
    assert not tokens.is_over_within(0.01)

    tokens.end()
    tokens.begin(20, SLEEPER)
    assert tokens.is_over_within(10)


def test_a_wait_ends_with_its_time(tokens, redis):
    tokens.begin(0.01, POLLER)

    assert tokens.is_over_within(10)
    assert not waiting(redis)


def test_one_that_has_ended_its_wait_is_given_no_token(tokens, redis):
    tokens.begin(20, POLLER)
    wait_for(lambda: waiting(redis) == 1)

    tokens.end()
    wait_for(lambda: not waiting(redis))
    redis.lpush(WAKE_UP, "1")

    assert redis.llen(WAKE_UP) == 1
    assert tokens.came_within(10, POLLER)


def test_the_time_of_a_slot_is_not_left_to_the_server(tokens, redis):
    assert not tokens.came_within(0.05, Wait(0.05, 1, exact=True))
    assert not tokens.came_within(0.12, Wait(0.12, 1, exact=True))
    assert not waiting(redis)


def test_a_connection_that_was_closed_between_two_waits_is_made_again(tokens, redis):
    redis.lpush(WAKE_UP, "1")
    tokens.begin(20, POLLER)
    assert tokens.is_over_within(10)
    redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    tokens.begin(20, POLLER)
    redis.lpush(WAKE_UP, "1")

    assert tokens.is_over_within(10)
