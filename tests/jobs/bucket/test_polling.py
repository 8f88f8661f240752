"""Who looks at a bucket and when: little work for the server, and nobody is missed for long."""

from itertools import pairwise

import pytest

from spigot.jobs.bucket.claim_answers import SLEEP_SECONDS
from spigot.jobs.store import keys
from tests.support.clocked_bucket import SECOND_US, START_US, ClockedBucket
from tests.support.round_trips import commands_done
from tests.support.simulated_fleet import SERVER_LATE_US, SimulatedFleet


def fill(bucket: ClockedBucket, count: int) -> None:
    bucket.enqueue_all(f"job-{number:04}" for number in range(count))


def slow(value: object) -> object:
    return pytest.param(value, marks=pytest.mark.slow)


def seconds(us: int) -> float:
    return (us - START_US) / SECOND_US


class TestEmptyBucket:
    @pytest.mark.parametrize("count", [1, 2, 3, 16])
    def test_is_looked_at_once_a_second_by_all_watchers_together(self, bucket, count):
        fleet = SimulatedFleet(bucket, count)

        fleet.run(60)

        looks = fleet.looks_between(10, 25)  # before the sleepers wake
        assert 14 <= len(looks) <= 17
        assert max(b - a for a, b in pairwise(looks)) <= 1.001

    def test_wakes_the_others_only_now_and_then(self, bucket):
        fleet = SimulatedFleet(bucket, 64)

        fleet.run(10 * SLEEP_SECONDS)

        sleepers = 62
        polls = 10 * SLEEP_SECONDS / 0.9
        assert len(fleet.looks) <= polls + 64 + 10 * sleepers + 20

    def test_starts_a_job_at_once_that_is_enqueued_here(self, bucket):
        fleet = SimulatedFleet(bucket, 4)
        fleet.run(10.3)

        bucket.enqueue("a")
        fleet.run(0)

        assert [seconds(us) for us, _, _ in fleet.starts] == [10.3]

    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_sees_within_a_second_what_is_pushed_behind_its_back(self, bucket, redis, count):
        fleet = SimulatedFleet(bucket, count)
        for number in range(20):
            fleet.run(2.77)
            bucket.enqueue(f"job-{number}")
            redis.delete(keys.wake_up("default"))  # plain RQ wakes nobody
            pushed_us = bucket.now_us
            fleet.run(1.001)
            assert fleet.starts[-1][2].job_id == f"job-{number}"
            assert fleet.starts[-1][0] - pushed_us <= 1.001 * SECOND_US

    @pytest.mark.parametrize("which", [0, 1])
    def test_is_polled_again_within_a_second_after_a_poller_died(self, bucket, which):
        fleet = SimulatedFleet(bucket, 3)
        fleet.run(10)
        fleet.kill(fleet.pollers()[which])

        fleet.run(15)

        looks = fleet.looks_between(9, 25)
        # the turn that the dead one missed, and then as before
        assert max(b - a for a, b in pairwise(looks)) <= 2.001
        assert len(set(fleet.pollers())) == 2
        later = fleet.looks_between(13, 25)
        assert max(b - a for a, b in pairwise(later)) <= 1.001

    def test_is_polled_though_both_pollers_began_long_jobs(self, bucket, redis):
        fleet = SimulatedFleet(bucket, 4, run_seconds=300)
        fleet.run(10)
        bucket.enqueue("a")
        fleet.run(0.2)
        bucket.enqueue("b")
        fleet.run(3)
        assert len(fleet.pollers()) == 2

        bucket.enqueue("c")
        redis.delete(keys.wake_up("default"))
        fleet.run(1.001)

        assert len(fleet.starts) == 3

    def test_is_looked_at_when_a_delayed_job_is_due(self, bucket):
        bucket.enqueue("a", "retried")
        bucket.retry(bucket.claim(), delay=7.3)
        fleet = SimulatedFleet(bucket, 3)

        fleet.run(10)

        assert 7.3 <= seconds(fleet.starts[0][0]) <= 7.4 + 0.001


class TestBacklog:
    @pytest.mark.parametrize("count", [1, *(slow(count) for count in (2, 3)), 8])
    def test_leaks_at_its_rate(self, redis, count):
        bucket = ClockedBucket(redis, "10/s", capacity=1000)
        fill(bucket, 200)
        fleet = SimulatedFleet(bucket, count)

        fleet.run(19.9)

        slots = [claim.slot_us for _, _, claim in fleet.starts]
        assert slots == [START_US + 100_000 * number for number in range(200)]

    @pytest.mark.parametrize("rate", ["10/s", slow("30/s")])
    def test_costs_no_more_with_more_idle_workers(self, counting_redis, rate):
        redis, commands = counting_redis, {}
        for idle in (2, 64):
            redis.flushall()
            bucket = ClockedBucket(redis, rate, capacity=1000)
            fill(bucket, 200)
            fleet = SimulatedFleet(bucket, idle + 2)  # two are always under way
            before = commands_done(redis) - fleet.own_commands
            fleet.run(199 * int(redis.hget(keys.bucket("default"), "interval_us")) / SECOND_US)
            assert len(fleet.starts) == 200
            commands[idle] = (commands_done(redis) - fleet.own_commands - before) / 200

        assert commands[64] == pytest.approx(commands[2], rel=0.1)

    @pytest.mark.parametrize("rate", ["10/s", "1/s", "6/m", "1/m"])
    @pytest.mark.parametrize("which", [0, 1])
    def test_misses_a_dead_poller_for_less_than_a_second(self, redis, rate, which):
        bucket = ClockedBucket(redis, rate, capacity=1000)
        fill(bucket, 100)
        fleet = SimulatedFleet(bucket, 6)
        interval_us = int(redis.hget(keys.bucket("default"), "interval_us"))
        fleet.run(2 * interval_us / SECOND_US + 0.01)
        assert len(fleet.starts) == 3
        fleet.kill(fleet.pollers()[which])

        fleet.run(interval_us / SECOND_US + 1)

        late_us = fleet.starts[3][2].slot_us - fleet.starts[2][2].slot_us - interval_us
        assert 0 <= late_us <= SECOND_US

    @pytest.mark.parametrize(("which", "most"), [(0, 1.7), (1, 1.0), (2, 1.0)])
    def test_misses_a_host_that_is_cut_off_for_seconds_at_most(self, redis, which, most):
        """To the server its workers still wait, and so each may be handed a token."""
        bucket = ClockedBucket(redis, "10/s", capacity=1000)
        fill(bucket, 100)
        fleet = SimulatedFleet(bucket, 6, run_seconds=0.03)
        fleet.run(3.05)
        pollers = fleet.pollers()
        sleepers = [one.name for one in fleet.workers if one.name not in pollers]
        for name in (pollers + sleepers)[which : which + 2]:
            fleet.cut_off(name)
        before = len(fleet.starts)

        for _ in range(6):
            fleet.run(0.5)
            bucket.reap()  # others do so all the time

        slots = [claim.slot_us for _, _, claim in fleet.starts[before - 1 :]]
        assert len(slots) > 15
        assert max(later - slot for slot, later in pairwise(slots)) < most * SECOND_US

    @pytest.mark.parametrize("rate", ["1/s", "6/m"])
    def test_misses_a_dead_poller_though_all_others_run_long_jobs(self, redis, rate):
        bucket = ClockedBucket(redis, rate, capacity=1000)
        fill(bucket, 100)
        fleet = SimulatedFleet(bucket, 8, run_seconds=1000)
        interval = int(redis.hget(keys.bucket("default"), "interval_us")) / SECOND_US

        for expected in (2, 3, 4):  # each time the one that was to start the next job dies
            while len(fleet.starts) < expected:
                fleet.run(interval / 10)
            fleet.run(interval / 10)
            fleet.kill(fleet.pollers()[0])
            started_us = bucket.now_us
            fleet.run(interval + 1)
            assert len(fleet.starts) > expected
            assert fleet.starts[expected][0] - started_us <= (interval + 1) * SECOND_US

    def test_is_polled_again_by_a_busy_workers_thread_when_both_pollers_died(self, redis):
        bucket = ClockedBucket(redis, "1/s")
        fill(bucket, 20)
        fleet = SimulatedFleet(bucket, 8, run_seconds=1000)
        fleet.run(3.5)
        for name in fleet.pollers():
            fleet.kill(name)
        fleet.run(2)
        assert len(fleet.starts) == 4

        bucket.reap()
        fleet.run(0)

        assert len(fleet.starts) == 5

    def test_of_one_job_an_hour_is_steered_at_once(self, redis):
        bucket = ClockedBucket(redis, "1/h")
        fill(bucket, 50)
        fleet = SimulatedFleet(bucket, 3)
        fleet.run(100)
        assert len(fleet.starts) == 1

        bucket.set(rate="10/s")
        fleet.run(1)

        assert [seconds(us) for us, _, _ in fleet.starts[1:3]] == [100, 100.051]
        assert len(fleet.starts) == 1 + 11

    def test_goes_on_at_once_after_a_pause(self, bucket):
        fill(bucket, 10)
        bucket.set(paused=True)
        fleet = SimulatedFleet(bucket, 3)
        fleet.run(47.77)
        assert not fleet.starts

        bucket.set(paused=False)
        fleet.run(0)

        assert len(fleet.starts) == 1

    def test_that_is_limited_goes_on_at_once_when_a_job_ends(self, bucket):
        bucket.set(max_running=2)
        fill(bucket, 10)
        fleet = SimulatedFleet(bucket, 5, run_seconds=3.21)

        fleet.run(10)

        assert [seconds(us) for us, _, _ in fleet.starts] == pytest.approx(
            [0, 0.051, 3.21, 3.311, 6.42, 6.521, 9.63, 9.731], abs=0.06
        )

    def test_is_taken_over_when_the_pollers_leave(self, redis):
        bucket = ClockedBucket(redis, "1/s")
        fill(bucket, 20)
        fleet = SimulatedFleet(bucket, 4)
        fleet.run(5.2)
        for name in fleet.pollers():
            fleet.kill(name)
            bucket.bucket.leave(name)

        fleet.run(10)

        slots = [claim.slot_us for _, _, claim in fleet.starts]
        assert slots == [START_US + SECOND_US * number for number in range(16)]


@pytest.mark.parametrize("rate", ["10/s", "2/s"])
def test_a_worker_that_dies_with_a_job_costs_its_slot_and_no_more(redis, rate):
    bucket = ClockedBucket(redis, rate, capacity=1000)
    fill(bucket, 250)
    fleet = SimulatedFleet(bucket, 4, run_seconds=0.01)
    interval_us = int(redis.hget(keys.bucket("default"), "interval_us"))
    while len(fleet.starts) < 5:
        fleet.run(interval_us / 10 / SECOND_US)
    _, worker, lost = fleet.starts[-1]
    fleet.kill(worker)

    for _ in range(20):  # in which somebody reaps its lease
        fleet.run(1)
        bucket.reap()

    slots = [claim.slot_us for _, _, claim in fleet.starts]
    assert slots == [START_US + interval_us * number for number in range(len(slots))]
    attempts = [c.attempt for _, _, c in fleet.starts if c.job_id == lost.job_id]
    assert attempts == [1, 2]


def test_a_poller_alone_wakes_a_standby_once(bucket, redis):
    fleet = SimulatedFleet(bucket, 1)

    fleet.run(10)

    assert redis.llen(keys.standby_wake_up("default")) == 1


def test_who_looks_clears_the_wake_up_token(bucket, redis):
    redis.lpush(keys.wake_up("default"), "1")

    bucket.ask()

    assert not redis.exists(keys.wake_up("default"))


def test_a_bucket_has_one_wake_up_token(bucket, redis):
    for number in range(3):
        bucket.set(capacity=number + 1)

    assert redis.llen(keys.wake_up("default")) == 1


def test_a_reaper_wakes_nobody_while_there_are_pollers(bucket, redis):
    fill(bucket, 3)
    fleet = SimulatedFleet(bucket, 2, run_seconds=100)
    assert len(fleet.starts) == 1
    redis.delete(keys.wake_up("default"))

    bucket.reap()

    assert not redis.exists(keys.wake_up("default"))


def test_a_reaper_wakes_nobody_without_a_job(bucket, redis):
    redis.delete(keys.wake_up("default"))

    bucket.reap()

    assert not redis.exists(keys.wake_up("default"))


def test_a_bucket_is_polled_until_its_pollers_are_half_a_second_late(bucket):
    def is_polled(now_us: int) -> bool:
        return bucket.bucket.look("sleeper", polling=False, now_us=now_us).seconds is not None

    assert not is_polled(bucket.now_us)
    fleet = SimulatedFleet(bucket, 3)
    look_us = max(worker.until_us for worker in fleet.workers[:2])
    late_us = look_us + SERVER_LATE_US + SECOND_US // 2

    assert is_polled(late_us - SECOND_US // 100)
    assert not is_polled(late_us + SECOND_US // 100)


class TestReaping:
    """Pollers that come and go do not look for silent workers more often than needed."""

    @pytest.fixture
    def silent(self, bucket):
        bucket.enqueue("a")
        bucket.claim()
        bucket.reap_until_silent()  # reaped, and claimed again below
        claim = bucket.claim()
        for _ in range(7):
            bucket.sleep(2.2)
            bucket.leases.renew([], 60, now_us=bucket.now_us)
        assert bucket.now_us > claim.slot_us + 15 * SECOND_US
        return bucket

    def test_is_left_to_those_who_did_it_just_now(self, silent, redis):
        redis.hset(keys.bucket("default"), "reaped_us", silent.now_us - 899_999)

        assert silent.leases.reap(fresh_ms=900, now_us=silent.now_us).count == 0
        assert silent.leases.reap(fresh_ms=900, now_us=silent.now_us + 1).count == 1

    def test_is_done_at_once_by_those_who_insist(self, silent, redis):
        redis.hset(keys.bucket("default"), "reaped_us", silent.now_us)

        assert silent.leases.reap(now_us=silent.now_us).count == 1

    def test_is_done_after_the_clock_was_set_back(self, silent, redis):
        redis.hset(keys.bucket("default"), "reaped_us", silent.now_us + 1)

        assert silent.leases.reap(fresh_ms=900, now_us=silent.now_us).count == 1

    def test_is_noted(self, silent):
        assert silent.leases.reap(fresh_ms=900, now_us=silent.now_us).count == 1
        silent.enqueue("b")
        claim = silent.claim()
        late_us = silent.now_us

        assert claim.job_id == "a"
        assert silent.leases.reap(fresh_ms=900, now_us=late_us).count == 0
