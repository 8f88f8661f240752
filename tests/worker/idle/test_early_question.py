"""The end of a job and the claim of the next take one round trip, and neither spoils the other."""

from contextlib import closing
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from redis.exceptions import ConnectionError

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.store import keys
from spigot.worker.leases import asking_leases
from spigot.worker.leases.asking_leases import AskingLeases
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.running import executor as executor_module
from spigot.worker.running.executor import Executor
from spigot.worker.running.hold_news import HoldNews
from tests.support.consistency import status_of
from tests.support.round_trips import counted_round_trips


@pytest.fixture
def numbers():
    return {"rate": "1000/s burst 100"}  # the next slot is always near


@pytest.fixture
def bucket(redis):
    return LeakyBucket(redis, "default")


@pytest.fixture
def claimer(make_claimer):
    return make_claimer(concurrency=1)


@pytest.fixture
def enqueue(job_queue):
    return lambda count: [job_queue.enqueue("echo", {"value": n}).id for n in range(count)]


@pytest.fixture
def busy(enqueue, claimer, end):
    """Return a function that has a worker at work, with so many jobs of which it has the first."""

    def work(count):
        jobs = enqueue(count + 1)
        end(claimer.ask())
        return jobs[1:], claimer.ask()

    return work


@pytest.fixture
def end(claimer, leases):
    """Return a function that ends the attempt of a claim, and asks for the next job with that."""
    asking = AskingLeases(leases, claimer)
    return lambda claim: asking.complete(
        AttemptReport(claim.token, "echo", claim=claim), "finished", result="null"
    )


def test_one_round_trip_ends_a_job_and_claims_the_next(redis, busy, claimer, end):
    jobs, first = busy(2)

    with counted_round_trips() as sent:
        ended = end(first)
        second = claimer.ask()

    assert len(sent) == 1
    assert ended.line
    assert isinstance(second, Claim)
    assert [first.job_id, second.job_id] == jobs
    assert [status_of(redis, job) for job in jobs] == ["finished", "started"]


def test_or_says_that_none_waits(busy, claimer, end):
    _, last = busy(1)

    with counted_round_trips() as sent:
        end(last)
        answer = claimer.ask()

    assert len(sent) == 1
    assert isinstance(answer, Wait)
    assert answer.waiting == 0


def test_a_worker_that_had_to_wait_for_its_job_does_not_ask_early(
    redis, busy, enqueue, claimer, end
):
    _, last = busy(1)
    end(last)
    assert isinstance(claimer.ask(), Wait)
    jobs = enqueue(2)

    end(claimer.ask())

    assert status_of(redis, jobs[1]) == "queued"


def test_a_worker_that_stops_then_gives_the_next_job_back(
    redis, busy, bucket, claimer, leases, end
):
    jobs, first = busy(2)
    end(first)
    assert status_of(redis, jobs[1]) == "started"

    claimer.sign_off(bucket, leases)

    assert status_of(redis, jobs[1]) == "queued"
    assert leases.count() == 0
    assert redis.lrange(keys.queue("default"), 0, -1) == [jobs[1].encode()]


def test_an_answer_that_was_lost_is_asked_for_again(redis, busy, claimer, leases, end, monkeypatch):
    (jobs, first), replies_together = busy(3), asking_leases.replies_together

    def lose(*args):
        replies_together(*args)
        raise ConnectionError

    monkeypatch.setattr(asking_leases, "replies_together", lose)
    with pytest.raises(ConnectionError):
        end(first)
    monkeypatch.undo()

    assert end(first).line
    assert claimer.ask().job_id == jobs[1]
    assert leases.count() == 1
    assert status_of(redis, jobs[2]) == "queued"


def test_a_hold_since_the_question_whose_answer_was_lost_concerns_its_job(bucket, claimer, enqueue):
    def put_and_lose(question):
        put(question)
        raise ConnectionError

    put, bucket.put = bucket.put, put_and_lose
    enqueue(2)
    with pytest.raises(ConnectionError):
        claimer.ask()
    bucket.put = put
    with closing(HoldNews("default")) as news:
        news.note_gap()

        assert news.came_after(claimer.ask())
        assert not news.came_after(claimer.ask())


def test_a_server_without_the_scripts_ends_and_claims_all_the_same(redis, busy, claimer, end):
    jobs, first = busy(2)
    redis.script_flush()

    assert end(first).line
    assert claimer.ask().job_id == jobs[1]


def test_what_was_logged_is_told_with_the_next_end(redis, busy, claimer, result_log, end):
    _, first = busy(2)
    before = redis.hkeys(keys.unlogged("default"))
    result_log.write(first.token, end(first).line)
    second = claimer.ask()

    end(second)

    assert redis.hkeys(keys.unlogged("default")) == [*before, second.token.encode()]


def test_a_worker_that_runs_so_many_jobs_does_not_ask_early(redis, busy, claimer, end):
    jobs, first = busy(2)
    claimer.asks_early = False

    end(first)

    assert status_of(redis, jobs[1]) == "queued"


def test_the_next_job_keeps_its_lease_while_dependents_are_released(monkeypatch):
    done = []
    executor = Executor(
        runner=Mock(),
        renewer=Mock(keep=lambda token: done.append(f"keep {token}")),
        leases=Mock(),
        last_leases=Mock(),
        catalog=Mock(),
        result_log=Mock(),
        rq_callbacks=Mock(),
        availability=Mock(),
        stop=Mock(requested=False),
        grace_seconds=1,
        on_start=Mock(),
        asker=Mock(token_in_question="next"),
    )
    executor.renewer.release = lambda token: done.append(f"release {token}")
    monkeypatch.setattr(
        executor_module, "release_dependents", lambda _, parent: done.append(f"free {parent}'s")
    )

    executor._release_dependents("parent", SimpleNamespace(has_dependents=True))

    assert done == ["keep next", "free parent's", "release next"]
