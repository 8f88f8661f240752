"""A job's timeline, from what is kept of its attempts and of its bucket's past."""

from dataclasses import replace

import pytest

from spigot.jobs.bucket.state import BucketState
from spigot.jobs.job.state import JobState
from spigot.jobs.overview.history import CELL_SECONDS, CELLS, Cell
from spigot.jobs.overview.reading import BucketView
from spigot.jobs.overview.run_times import RunTimes
from spigot.jobs.store import keys
from spigot.jobs.store.times import utc_text
from spigot.webapp.pages.job_steps import Past, read_past, steps_of

SECOND_US = 1_000_000
NOW_US = 1_800_000_000 * SECOND_US

STATE = BucketState(
    name="openai", rate="1/s", interval=1.0, burst=1, capacity=50, waiting=0, delayed=0, running=0,
    max_running=None, workers=1, concurrency=1, paused=False, draining=False, held_until=None,
    hold_reason=None, hold_kind=None, probing=False, next_leak_at=None, sources={}, budgets={},
    waits_for=None,
)  # fmt: skip

JOB = JobState(
    id="j", type="summary", status="queued", bucket="openai", priority="default", position=1,
    estimated_start_at=None, estimated_start_in=None, attempts=0, enqueued_at=None,
    started_at=None, ended_at=None, progress=None, result=None, error=None, revision=1,
)  # fmt: skip

NOTHING = Past([], [])


def at(seconds):
    """Return microseconds at so many seconds before now."""
    return NOW_US - round(seconds * SECOND_US)


def job(since, **fields):
    return replace(JOB, enqueued_at=utc_text(at(since)), **fields)


def view(*stops):
    """Return a bucket that was stopped: each (from, until, why), in seconds before now."""
    cells = [Cell(0, 0, 1.0, None)] * CELLS
    for begin, end, why in stops:
        for place in range(CELLS - 1 - begin // CELL_SECONDS, CELLS - 1 - end // CELL_SECONDS):
            cells[place] = Cell(0, 0, 1.0, why)
    return BucketView(
        state=STATE, now_us=NOW_US, runs=RunTimes(),
        last_start_us=0, failed=0, failed_recently=0, finished_recently=0, history=cells,
        refused=0, changes=[],
    )  # fmt: skip


def result(kind, begin, end):
    times = {"execution_started_at": begin, "execution_ended_at": end}
    return {b"type": kind} | {
        name.encode(): str(at(seconds) / SECOND_US).encode() for name, seconds in times.items()
    }


def told(job, past=NOTHING, bucket=None):
    """Return what the steps say and how long they lasted."""
    return [(step["what"], step["lasted"]) for step in steps_of(job, past, bucket, NOW_US)]


def test_a_job_that_waits_has_one_step():
    assert told(job(since=40)) == [("waiting", "40 s")]


def test_holds_and_pauses_of_the_bucket_divide_its_wait():
    bucket = view((400, 300, "held"), (200, 100, "paused"))

    assert told(job(since=350), bucket=bucket) == [
        ("bucket held", "50 s"),
        ("waited", "100 s"),
        ("bucket paused", "100 s"),
        ("waiting", "100 s"),
    ]


def test_a_stop_that_goes_on_is_its_last_step():
    assert told(job(since=60), bucket=view((50, 0, "no worker"))) == [
        ("waited", "10 s"),
        ("no worker was alive", "50 s"),
    ]


def test_a_stop_before_the_job_came_is_not_its_business():
    assert told(job(since=60), bucket=view((300, 100, "held"))) == [("waiting", "60 s")]


def test_refused_starts_stand_between_attempts_with_the_holds_that_they_began():
    past = Past(
        [result(b"1", begin=20, end=10)],
        [(at(100), at(98), at(68)), (at(68), at(67), at(20))],
    )
    ended = job(120, status="finished", attempts=3, ended_at=utc_text(at(10)))

    steps = steps_of(ended, past, None, NOW_US)

    assert [(step["what"], step["bar"], step["lasted"]) for step in steps] == [
        ("waited", "wait-bar", "20 s"),
        ("attempt 1 refused", "refuse-bar", "2 s"),
        ("bucket held", "stop-bar", "30 s"),
        ("attempt 2 refused", "refuse-bar", "1 s"),
        ("bucket held", "stop-bar", "47 s"),
        ("attempt 3 finished", "run-bar", "10 s"),
    ]
    assert (steps[0]["x"], steps[-1]["x"]) == ("0", "909")
    assert int(steps[-1]["x"]) + int(steps[-1]["width"]) == 1000


def test_a_hold_that_was_released_ends_with_the_next_start():
    past = Past([result(b"1", begin=30, end=20)], [(at(100), at(99), at(-1000))])

    assert told(job(100, status="finished", attempts=2, ended_at=utc_text(at(20))), past) == [
        ("attempt 1 refused", "1 s"),
        ("bucket held", "69 s"),
        ("attempt 2 finished", "10 s"),
    ]


def test_the_hold_of_its_own_refusal_is_not_told_twice():
    past = Past([], [(at(100), at(98), at(-60))])

    assert told(job(100, attempts=1), past, view((95, 0, "held"))) == [
        ("attempt 1 refused", "2 s"),
        ("bucket held", "98 s"),
    ]


def test_the_way_from_the_queue_to_the_start_is_no_wait():
    past = Past([result(b"4", begin=50.02, end=40), result(b"2", begin=39.98, end=30)], [])
    failed = job(50.04, status="failed", attempts=2, ended_at=utc_text(at(30)))

    assert [what for what, _ in told(failed, past)] == [
        "attempt 1 failed, to be retried",
        "attempt 2 failed",
    ]


def test_attempts_have_no_numbers_where_some_are_forgotten():
    past = Past([result(b"4", begin=50, end=40)], [])

    assert told(job(60, attempts=7), past)[1] == ("attempt failed, to be retried", "10 s")


def test_of_many_stops_the_longest_are_told():
    stops = [(1800 - 100 * n, 1790 - 100 * n - 5 * n, "held") for n in range(12)]

    steps = told(job(since=1795), bucket=view(*stops))

    assert [what for what, _ in steps].count("bucket held") == 6
    assert ("bucket held", "65 s") in steps
    assert ("bucket held", "10 s") not in steps


def test_a_job_that_is_requeued_does_not_say_that_it_waited_all_the_time():
    past = Past([result(b"2", begin=90, end=80)], [])

    assert told(job(30, attempts=1), past) == [
        ("attempt 1 failed", "10 s"),
        ("over, until requeued", "50 s"),
        ("waiting", "30 s"),
    ]


@pytest.mark.parametrize("spoilt", ["", "x", "1 2", "a b c\n1 2 3 4"])
def test_what_somebody_else_wrote_is_left_out(redis, spoilt):
    redis.hset(keys.job("j"), "spigot_refused_starts", spoilt)
    redis.set(keys.results("j"), "no stream")

    assert read_past(redis, "j") == NOTHING
