"""The arithmetic of one process, where it differs from what the server is asked."""

from fractions import Fraction

import pytest

from spigot.webapp.door.rate_limits.fixed_window import FixedWindow
from spigot.webapp.door.rate_limits.token_bucket import TokenBucket
from spigot.webapp.door.rate_limits.whole_units import MAX_UNITS, InexactError

TWO_UNITS_A_US = TokenBucket(10, pace=2, token=1000)


@pytest.mark.parametrize(
    ("level", "pending_us", "elapsed_us", "later"),
    [
        (0, 0, 100, (200, 0)),
        (9_999, 0, 100, (10_000, 0)),
        (0, 100, 40, (0, 60)),  # the clock was set back: nothing is earned yet
        (0, 100, 100, (0, 0)),
        (0, 100, 150, (100, 0)),
    ],
)
def test_a_bucket_later(level, pending_us, elapsed_us, later):
    assert TWO_UNITS_A_US.after(level, pending_us, elapsed_us) == later


@pytest.mark.parametrize(
    ("pending_us", "wanted", "wait_us"), [(0, 1000, 500), (0, 999, 500), (7, 1000, 507)]
)
def test_a_bucket_makes_wait_whole_microseconds(pending_us, wanted, wait_us):
    assert TWO_UNITS_A_US.wait_us(0, pending_us, wanted) == wait_us


@pytest.mark.parametrize(
    ("level", "pending_us", "elapsed_us", "later"),
    [(2, 60, 59, (2, 1)), (2, 60, 60, (5, 0)), (5, 0, 0, (5, 0))],
)
def test_a_window_later(level, pending_us, elapsed_us, later):
    assert FixedWindow(5, window_us=60).after(level, pending_us, elapsed_us) == later


def test_the_last_exact_number_is_exact():
    slow = Fraction(1_000_000, 20_394_401)  # a divisor of 2^53 - 1

    assert TokenBucket.of(441_650_591, slow).full == MAX_UNITS
    assert FixedWindow.of(1, Fraction(MAX_UNITS, 1_000_000)).window_us == MAX_UNITS
    with pytest.raises(InexactError):
        TokenBucket.of(441_650_592, slow)
    with pytest.raises(InexactError):
        FixedWindow.of(1, Fraction(MAX_UNITS + 1, 1_000_000))
