"""In words: how a bucket is, and why its pace is what it is."""

from dataclasses import replace

import pytest

from spigot.jobs.bucket.state import BucketState
from spigot.jobs.budgets.state import BudgetState
from spigot.jobs.overview.history import CELLS, Cell
from spigot.jobs.overview.outlook import NOBODY_KNOWS
from spigot.jobs.overview.reading import BucketView
from spigot.jobs.overview.run_times import RunTimes
from spigot.jobs.overview.verdict import judge
from spigot.jobs.store.times import utc_text

NOW_US = 1_800_000_002 * 1_000_000

STATE = BucketState(
    name="openai", rate="1/s", interval=1.0, burst=1, capacity=50, waiting=0, delayed=0, running=0,
    max_running=None, workers=3, concurrency=3, paused=False, draining=False, held_until=None,
    hold_reason=None, hold_kind=None, probing=False, next_leak_at=utc_text(NOW_US), sources={},
    budgets={}, waits_for=None,
)  # fmt: skip

HELD = {
    "held_until": utc_text(NOW_US + 252_000_000),
    "next_leak_at": utc_text(NOW_US + 252_000_000),
    "hold_reason": "RateLimited: the downstream asked to wait 300 s",
    "hold_kind": "wait",
}


SPENT = {
    "waits_for": "tokens",
    "next_leak_at": None,
    "budgets": {
        "tokens": BudgetState(
            limit="600/m", window=None, counted="unknown", burst=100, cost=None, level=90, held=30,
            reserved_mean=30, used_mean=20, upstream=None, usable_share=None, burst_wanted=None,
        ),
    },
}  # fmt: skip


def view(mean_run=0.0, runs=None, refused=0, failed=0, finished=0, changes=(), starts=0, **state):
    return BucketView(
        state=replace(STATE, **state),
        now_us=NOW_US,
        runs=runs or RunTimes(mean_run, mean_run),
        last_start_us=0,
        failed=failed,
        failed_recently=failed,
        finished_recently=finished,
        history=[Cell(starts, 0, 1.0, None)] * CELLS,
        refused=refused,
        changes=list(changes),
    )


PAUSED_BY_ADA = {
    "at": utc_text(NOW_US - 660_000_000),
    "by": "ada@vm1",
    "changes": {"paused": ["", "1"]},
}


@pytest.mark.parametrize(
    ("seen", "words", "rank", "sentence"),
    [
        (view(waiting=214, workers=0, capacity=1000), ["no worker"], 1,
         "214 jobs wait, and no worker is alive. Start one: spigot worker openai"),
        (view(waiting=1, running=2, workers=0), ["no worker"], 1,
         "1 job waits, 2 jobs had begun, and no worker is alive. Start one: spigot worker openai"),
        (view(running=1, workers=0), ["no worker"], 1, "1 job had begun, and no worker is alive."),
        (view(waiting=50, starts=5), ["full"], 2, "Full: 50 jobs may wait"),
        (view(waiting=50, starts=5, refused=36), ["full"], 2, "refused: 36 jobs in the last hour."),
        (view(waiting=50, **HELD), ["held", "full"], 2, "held 4:12 more: the downstream asked"),
        (view(failed=9, finished=3), ["failing"], 3, "9 of the last 12 jobs failed."),
        (view(waiting=3, **HELD), ["held"], 4,
         "held 4:12 more: the downstream asked to wait 300 s."),
        (view(waiting=8, paused=True, next_leak_at=None, changes=[PAUSED_BY_ADA]), ["paused"], 5,
         "paused by ada@vm1 11 min ago. New jobs are accepted: 42 more fit."),
        (view(waiting=3, draining=True), ["draining"], 6, "accepts no new jobs; 3 are left."),
        (view(waiting=49, paused=True, next_leak_at=None), ["paused"], 5, "accepted: 1 more fits."),
        (view(waiting=1, draining=True), ["draining"], 6, "accepts no new jobs; 1 is left."),
        (view(waiting=9, running=1, max_running=1, mean_run=20), ["places taken"], 7,
         "1 of 1 place is taken by jobs of 20 s, so 0.05/s of 1/s."),
        (view(waiting=47, running=3, max_running=3, mean_run=20), ["places taken"], 7,
         "3 of 3 places are taken by jobs of 20 s, so 0.15/s of 1/s. One place more "
         "would carry 0.2/s."),
        (view(waiting=9, running=3, mean_run=6), ["workers busy"], 7,
         "3 workers are all busy with jobs of 6 s, so 0.5/s of 1/s."),
        (view(waiting=9, running=3, runs=RunTimes(4, 4, 60, (60,))), ["workers busy"], 7,
         "busy with jobs of 4 s, one of which has run for 60 s, so 0.52/s of 1/s. One more would "
         "carry 0.77/s:"),
        (view(waiting=9, running=3, runs=RunTimes(0, 60, 60)), ["workers busy"], 7,
         "busy with long jobs, one of which has run for 60 s, so 0.05/s of 1/s."),
        (view(waiting=9, running=3, runs=RunTimes(4, 4, 5, (5,))), ["workers busy"], 7,
         "busy with jobs of 4 s, so 0.7/s of 1/s."),
        (view(waiting=9, running=1, mean_run=0.5, starts=5), ["at its rate"], 8,
         "one start each 1 s, as configured: 1/s."),
        (view(waiting=9, running=1, starts=1, **SPENT), ["budget"], 7,
         "the next job waits for tokens: 90 of 100 are spent and 30 held by running jobs, recent "
         "jobs took 30 each, 600/m refill, so 0.21/s of 1/s. If more is granted: spigot bucket "
         "budget openai tokens LIMIT"),
        (view(starts=2), ["keeps up"], 8, "nothing waits longer than its turn"),
        (view(), ["idle"], 9, "nothing waits; no job has started yet."),
        (view(paused=True, next_leak_at=None), ["paused"], 9, "paused."),
        (view(paused=True, next_leak_at=None, starts=2), ["paused"], 9, "paused."),
    ],
)  # fmt: skip
def test_what_needs_somebody_comes_first_and_says_why(seen, words, rank, sentence):
    verdict = judge(seen)

    assert ([badge.word for badge in verdict.badges], verdict.rank) == (words, rank)
    assert sentence in verdict.why(is_admin=True)


def test_a_command_stands_at_the_end_where_it_can_be_copied():
    full = view(waiting=50, running=3, mean_run=6, refused=2)

    assert judge(full).why(is_admin=True) == (
        "Full: 50 jobs may wait, so new ones are refused: 2 jobs in the last hour. "
        "3 workers are all busy with jobs of 6 s, so 0.5/s of 1/s. One more would carry 0.67/s: "
        "spigot worker openai"
    )


@pytest.mark.parametrize(
    "seen",
    [
        view(waiting=3, **HELD),
        view(waiting=8, paused=True, next_leak_at=None, changes=[PAUSED_BY_ADA]),
        view(failed=9, finished=3),
    ],
)
def test_a_stranger_reads_no_name_no_failure_and_no_downstreams_words(seen):
    verdict = judge(seen, is_admin=False)

    told = verdict.why(is_admin=False)
    assert not any(secret in told for secret in ("ada", "asked to wait 300", "failed"))


@pytest.mark.parametrize(
    ("seen", "next_start", "empty_in", "sent_now"),
    [
        (view(), "at once", "empty", "starts at once"),
        (view(waiting=10), "at once", "0:09", "starts in about 0:10"),
        (view(waiting=3, **HELD), "in 4:12", "4:14", "starts in about 4:15"),
        (view(waiting=3, paused=True, next_leak_at=None), "when resumed", NOBODY_KNOWS,
         "waits until"),
        (view(waiting=50), "at once", "0:49", "is refused: the bucket is full"),
        (view(draining=True), "at once", "empty", "is refused: it accepts no new jobs"),
        (view(waiting=47, running=3, max_running=3, mean_run=20), "when one ends", "about 5:13",
         "starts in about 5:20"),
        (view(waiting=47, running=3, max_running=3, runs=RunTimes(20, 20, 80, (80,))),
         "when one ends", "about 5:33", "starts in about 5:40"),
        (view(waiting=9, running=1, **SPENT), "when one ends", "0:16", "starts in about 0:18"),
        (view(waiting=1, workers=0), "no worker", NOBODY_KNOWS, "waits for a worker"),
    ],
)  # fmt: skip
def test_what_comes_next_is_told(seen, next_start, empty_in, sent_now):
    verdict = judge(seen)

    assert (verdict.next_start, verdict.empty_in) == (next_start, empty_in)
    assert sent_now in verdict.sent_now
