"""How far ahead of its slot a job is claimed: on a clock that the test moves."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.leaky_bucket import CLAIM_AHEAD_US
from spigot.worker.idle import claimer as claimer_module
from spigot.worker.idle.claim_horizon import (
    HEADROOM,
    LEAST_US,
    MEMORY_SECONDS,
    WAY_US,
    ClaimHorizon,
)
from spigot.worker.idle.claimer import Claimer
from spigot.worker.running.early_stops import EarlyStops

MS = 0.001
QUICK_US = HEADROOM * (1_000 + WAY_US)
"""The horizon of who knows claims of a millisecond only."""

FORGOTTEN = MEMORY_SECONDS + 5


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def horizon(clock) -> ClaimHorizon:
    """One that has been at work for a minute, with claims that took a millisecond."""
    horizon = ClaimHorizon(clock)
    clock.now += FORGOTTEN
    horizon.note_claim(MS)
    return horizon


def claim(horizon: ClaimHorizon, clock: Clock) -> Claim:
    """Return a claim that was asked for as early as the horizon allows."""
    start_at = clock.now + horizon.ahead_us / 1_000_000
    return Claim("job", "default", "token", 0, 0, start_at, 1, {}, asked_at=clock.now)


def test_claims_as_early_as_may_be_until_a_minute_has_told_otherwise(clock):
    horizon = ClaimHorizon(clock)
    seen = []
    while clock.now < 1000 + FORGOTTEN:
        horizon.note_claim(MS)
        seen.append(horizon.ahead_us)
        clock.now += 1

    assert seen[: int(MEMORY_SECONDS)] == [CLAIM_AHEAD_US] * int(MEMORY_SECONDS)
    assert horizon.ahead_us == QUICK_US


@pytest.mark.parametrize(
    ("seconds", "ahead_us"),
    [(0.1 * MS, QUICK_US), (10 * MS, HEADROOM * (10_000 + WAY_US)), (9, CLAIM_AHEAD_US)],
)
def test_a_slow_claim_is_heeded_at_once_and_forgotten_after_a_minute(
    horizon, clock, seconds, ahead_us
):
    horizon.note_claim(seconds)
    assert horizon.ahead_us == ahead_us
    for _ in range(int(MEMORY_SECONDS)):
        clock.now += 1
        horizon.note_claim(MS)
        if clock.now < 1000 + FORGOTTEN + MEMORY_SECONDS:
            assert horizon.ahead_us == ahead_us
    clock.now += 6

    assert horizon.ahead_us == QUICK_US


def test_after_a_late_start_the_next_one_would_not_have_been_late(horizon, clock):
    horizon.note_start(claim(horizon, clock), 7_000)

    assert horizon.ahead_us == pytest.approx(HEADROOM * (QUICK_US + 7_000), abs=2)


@pytest.mark.parametrize("late_us", [None, 0, 1_500])
def test_a_start_in_time_teaches_nothing(horizon, clock, late_us):
    horizon.note_start(claim(horizon, clock), late_us)

    assert horizon.ahead_us == QUICK_US


def test_is_never_shorter_than_its_least(clock):
    horizon = ClaimHorizon(clock)
    clock.now += FORGOTTEN
    horizon.note_claim(0)

    assert horizon.ahead_us == LEAST_US


def test_without_a_claim_for_a_minute_it_knows_nothing(horizon, clock):
    clock.now += FORGOTTEN

    assert horizon.ahead_us == CLAIM_AHEAD_US


class Bucket:
    """Answers each question after some time."""

    def __init__(self, clock: Clock) -> None:
        self.asked_ahead_us: list[int] = []
        self.answers: list[Wait] = []
        self.takes = MS
        self._clock = clock

    def question(self, worker, tokens, *, ahead_us, **options) -> SimpleNamespace:
        self.asked_ahead_us.append(ahead_us)
        return SimpleNamespace(tokens=tokens, asked_at=self._clock.now)

    def put(self, question: SimpleNamespace) -> list[Wait]:
        self._clock.now += self.takes
        return [self.answers.pop(0)] * len(question.tokens)


class TestClaimer:
    @pytest.fixture
    def bucket(self, clock, monkeypatch) -> Bucket:
        monkeypatch.setattr(claimer_module, "time", SimpleNamespace(monotonic=clock))
        return Bucket(clock)

    @pytest.fixture
    def claimer(self, bucket, horizon) -> Claimer:
        told = {"result_log": Mock(), "restore": Mock(), "on_claim": Mock(), "horizon": horizon}
        told["early_stops"] = EarlyStops()
        return Claimer(bucket, "worker", lease_ms=1, rq_ttl=1, concurrency=1, **told)

    def test_counts_from_when_it_was_to_ask_and_heeds_it_at_the_next_question(
        self, claimer, bucket, clock
    ):
        bucket.answers = [Wait(10 * MS, 1, exact=True), Wait(MS, 1), Wait(MS, 1)]
        claimer.ask()
        clock.now += 30 * MS  # it slept 20 ms too long
        for _ in range(2):
            claimer.ask()

        assert bucket.asked_ahead_us == [
            QUICK_US,
            QUICK_US,
            pytest.approx(HEADROOM * (21_000 + WAY_US), abs=4),
        ]

    @pytest.mark.parametrize("exact", [True, False])
    def test_is_not_late_if_it_asks_early_or_when_it_likes(self, claimer, bucket, clock, exact):
        bucket.answers = [Wait(30 * MS, 1, exact=exact), Wait(MS, 1), Wait(MS, 1)]
        claimer.ask()
        clock.now += 20 * MS if exact else 1
        for _ in range(2):
            claimer.ask()

        assert bucket.asked_ahead_us == [QUICK_US] * 3


INTERVAL, STANDSTILL = 20 * MS, 40 * MS


def lost_slots(horizon: ClaimHorizon, clock: Clock, seconds: int, *, stands_still: bool) -> int:
    """Claim 50 jobs a second, from a server that may stand still for 40 ms in each second."""
    last = begun_at = clock.now
    used, due_at = 0, clock.now
    while last < begun_at + seconds:
        ahead = horizon.ahead_us / 1_000_000
        into_second = clock.now % 1
        if stands_still and into_second < STANDSTILL:
            clock.now += STANDSTILL - into_second
        clock.now += MS
        horizon.note_claim(clock.now - due_at)
        slot = max(last + INTERVAL, clock.now)
        if slot - clock.now > ahead:
            clock.now = slot - ahead
        else:
            last, used = slot, used + 1
        due_at = clock.now
    return round((last - begun_at) / INTERVAL) - used


def test_a_server_that_stands_still_once_a_second_costs_no_slots_once_that_is_known(horizon, clock):
    assert lost_slots(horizon, clock, 120, stands_still=False) == 0
    assert horizon.ahead_us == QUICK_US

    seconds = 200
    lost = lost_slots(horizon, clock, seconds, stands_still=True)
    assert lost <= 3  # at the first standstill, which nothing had told of
    assert horizon.ahead_us == CLAIM_AHEAD_US
    assert lost_slots(horizon, clock, seconds, stands_still=True) == 0


@pytest.mark.slow
def test_a_horizon_that_learns_nothing_would_lose_slots_for_good(clock):
    seconds, short = 200, Mock(ahead_us=QUICK_US)

    assert lost_slots(short, clock, seconds, stands_still=True) > seconds / 2
