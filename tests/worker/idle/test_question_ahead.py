"""Where many jobs are due, the next are asked for before those claimed last are in hand."""

from unittest.mock import Mock

import pytest
from redis.exceptions import ConnectionError

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import PersistentScript
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.stop_signals import StopRequested
from spigot.worker.idle.claimer import FLOOD
from spigot.worker.leases.attempt_report import AttemptReport
from tests.support.round_trips import counted_round_trips


@pytest.fixture
def numbers():
    return {"rate": "100000/s burst 100000"}  # all slots are near


@pytest.fixture
def bucket(redis, redis_url):
    with connect(redis_url, timeout=5) as client:
        yield LeakyBucket(client, "default")


@pytest.fixture
def places():
    """Return a place for every job that comes, of which a test takes some."""
    return Mock(return_value=1_000)


@pytest.fixture
def claimer(make_claimer, places):
    return make_claimer(concurrency=1_000, places=places)


@pytest.fixture
def jobs(job_queue):
    return [job_queue.enqueue("echo", {"value": n}).id for n in range(100)]


def taken(claimer, count):
    """Take so many jobs in hand."""
    return [claimer.ask() for _ in range(count)]


def take_until_flooded(claimer):
    """Take jobs in hand up to the first that is claimed with enough others."""
    taken(claimer, FLOOD)  # 1, 2, 4, and the first of eight


def put_without_an_answer(bucket, error):
    """Return what puts a question, but raises an error in place of the answer."""
    put_ahead = bucket.put_ahead

    def put(question):
        put_ahead(question)
        return Mock(side_effect=error)

    return put


def waiting(redis):
    return redis.llen(keys.queue("default"))


def test_the_next_are_claimed_while_those_before_are_taken_in_hand(redis, claimer, jobs):
    in_hand = taken(claimer, FLOOD)
    with counted_round_trips() as sent:
        in_hand += taken(claimer, FLOOD - 1)

    assert not sent
    in_hand += taken(claimer, 1)
    assert [claim.job_id for claim in in_hand] == jobs[: len(in_hand)]
    assert waiting(redis) < len(jobs) - 2 * FLOOD - FLOOD


def test_each_comes_once_and_in_order_and_then_it_is_said_that_none_waits(claimer, leases, jobs):
    answers = taken(claimer, len(jobs) + 1)

    assert [claim.job_id for claim in answers[:-1]] == jobs
    assert len({claim.token for claim in answers[:-1]}) == leases.count() == len(jobs)
    assert isinstance(answers[-1], Wait)
    assert answers[-1].waiting == 0


def test_no_more_are_asked_for_than_there_will_be_places(redis, claimer, places, jobs):
    places.return_value = FLOOD + FLOOD + 1
    take_until_flooded(claimer)
    claimer.ask()

    claimed = len(jobs) - waiting(redis)
    assert claimed == (FLOOD - 1) + places.return_value


def test_a_few_places_are_not_asked_for_by_themselves(redis, claimer, places, jobs):
    places.return_value = FLOOD + FLOOD - 1
    take_until_flooded(claimer)

    assert len(jobs) - waiting(redis) == (FLOOD - 1) + FLOOD


class TestAPace:
    @pytest.fixture
    def numbers(self):
        return {"rate": "400/s"}

    def test_is_kept_by_who_is_not_ahead(self, redis, claimer, jobs):
        claims = taken(claimer, FLOOD)

        assert all(isinstance(claim, Claim) for claim in claims)
        assert len(jobs) - waiting(redis) == 2 * FLOOD - 1


def test_a_wait_counts_from_the_question(claimer, bucket, jobs):
    bucket.put_ahead = Mock(return_value=lambda: [[b"poll", 10_000_000, 0, 0]])

    wait = taken(claimer, 2 * FLOOD)[-1]

    assert isinstance(wait, Wait)
    assert wait.seconds < 10.0


def test_a_lost_answer_is_asked_for_again(redis, bucket, claimer, leases, result_log, jobs):
    put_ahead = bucket.put_ahead
    bucket.put_ahead = put_without_an_answer(bucket, ConnectionError)
    in_hand = taken(claimer, 2 * FLOOD - 1)
    with pytest.raises(ConnectionError):
        claimer.ask()
    bucket.put_ahead = put_ahead

    in_hand += taken(claimer, len(jobs) - len(in_hand))
    assert [claim.job_id for claim in in_hand] == jobs
    assert leases.count() == len(jobs)


def test_a_question_that_cannot_be_sent_keeps_no_job_from_its_worker(bucket, claimer, jobs):
    put_ahead = bucket.put_ahead
    bucket.put_ahead = Mock(side_effect=ConnectionError)
    in_hand = taken(claimer, 2 * FLOOD - 1)
    bucket.put_ahead = put_ahead

    in_hand += taken(claimer, len(jobs) - len(in_hand))
    assert [claim.job_id for claim in in_hand] == jobs


def test_a_worker_that_stops_gives_back_what_is_in_no_hand(redis, bucket, claimer, leases, jobs):
    take_until_flooded(claimer)
    for claim in taken(claimer, FLOOD - 1):
        leases.give_back(AttemptReport(claim.token), "")
    claimer.sign_off(LeakyBucket(redis, "default"), leases)

    assert redis.lrange(keys.queue("default"), 0, -1)[-50:] == [job.encode() for job in jobs[-50:]]
    assert leases.count() == FLOOD


def test_a_signal_while_it_waits_for_the_answer_does_so_too(redis, bucket, claimer, leases, jobs):
    bucket.put_ahead = put_without_an_answer(bucket, StopRequested)
    in_hand = taken(claimer, 2 * FLOOD - 1)
    with pytest.raises(StopRequested):
        claimer.ask()
    claimer.sign_off(LeakyBucket(redis, "default"), leases)

    assert waiting(redis) == len(jobs) - len(in_hand)
    assert leases.count() == len(in_hand)


def test_a_server_that_forgot_its_scripts_is_told_them_again(redis, bucket, claimer, jobs):
    put_ahead = bucket.put_ahead

    def forget_and_put(question):
        redis.script_flush()
        return put_ahead(question)

    bucket.put_ahead = forget_and_put

    assert [claim.job_id for claim in taken(claimer, len(jobs))] == jobs


def test_what_was_logged_is_told_ahead_and_told_again_if_that_is_lost(
    redis, bucket, claimer, leases, result_log, jobs
):
    first = claimer.ask()
    line = leases.complete(AttemptReport(first.token, "echo"), "finished", result="null").line
    put, put_ahead = bucket.put, bucket.put_ahead

    def put_and_log(question):
        answers = put(question)
        if len(question.tokens) == FLOOD:
            result_log.write(first.token, line)
        return answers

    bucket.put, bucket.put_ahead = put_and_log, Mock(side_effect=ConnectionError)
    taken(claimer, 2 * FLOOD - 2)
    bucket.put_ahead.assert_called_once()
    assert redis.hlen(keys.unlogged("default"))
    bucket.put, bucket.put_ahead = put, put_ahead

    claimer.ask()
    assert not redis.hlen(keys.unlogged("default"))


def test_who_runs_so_many_jobs_does_not_ask_ahead(redis, claimer, jobs):
    claimer.asks_early = False
    take_until_flooded(claimer)

    assert len(jobs) - waiting(redis) == 2 * FLOOD - 1


def test_nor_does_one_whose_client_cannot(redis, bucket, claimer, jobs):
    bucket._leak = PersistentScript(redis, bucket._leak.script)
    bucket._leak._directly = None

    assert [claim.job_id for claim in taken(claimer, len(jobs))] == jobs
