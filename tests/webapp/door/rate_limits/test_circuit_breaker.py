import pytest

from spigot.webapp.door.rate_limits.circuit_breaker import PAUSE_US, QUIET_US, CircuitBreaker
from tests.support.fake_clock import FakeClock

PAUSE = PAUSE_US / 1_000_000


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(clock.monotonic_us)


def test_all_calls_pass_while_none_fails(breaker):
    breaker.succeeded()

    assert all(breaker.lets_through() for _ in range(3))


def test_after_a_failure_one_call_per_pause_passes(breaker, clock):
    breaker.failed(ConnectionError())

    assert not breaker.lets_through()
    clock.wait(PAUSE)
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    clock.wait(PAUSE)
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]


def test_the_pause_begins_when_the_failure_is_known(breaker, clock):
    breaker.lets_through()
    clock.wait(PAUSE)  # that is how long the call took
    breaker.failed(ConnectionError())

    clock.wait(0.9 * PAUSE)
    assert not breaker.lets_through()


def test_a_success_lets_all_calls_through_again(breaker, clock):
    breaker.failed(ConnectionError())
    clock.wait(PAUSE)
    assert breaker.lets_through()

    breaker.succeeded()

    assert all(breaker.lets_through() for _ in range(3))


def test_the_server_is_back_within_two_seconds(breaker):
    assert PAUSE < 2


def test_an_outage_is_logged_once_and_so_is_its_end(breaker, clock, caplog):
    caplog.set_level("INFO")
    for _ in range(3):
        breaker.failed(ConnectionError("refused"))
        clock.wait(PAUSE)
        breaker.lets_through()
    for _ in range(3):
        breaker.succeeded()

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "refused" in caplog.text


def test_a_server_that_comes_and_goes_fills_no_log(breaker, clock, caplog):
    caplog.set_level("INFO")
    for _ in range(100):
        breaker.failed(TimeoutError())
        breaker.succeeded()
    breaker.failed(TimeoutError())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    clock.wait(QUIET_US / 1_000_000)
    breaker.failed(TimeoutError())  # it stayed away: that is not kept back
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
