"""What a job of ours has in common with one that RQ enqueued, and that stock RQ runs it."""

import json
import zlib

import pytest
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from spigot.jobs.job.job_form import DESCRIPTION
from spigot.jobs.job.state import JobReader
from spigot.jobs.store import keys

TIMES = {b"created_at", b"enqueued_at"}
CHANGING = {"_id", "connection", "created_at", "enqueued_at", "_data"}
"""What two jobs never have in common: `_data` is JSON, which may be written in other words."""


def enqueue_by_rq(redis: Redis, queue_name: str, function: str, kwargs, **options) -> Job:
    queue = Queue(queue_name, connection=redis, serializer=JSONSerializer)
    return queue.enqueue(
        f"tests.support.minimal_app.{function}",
        kwargs=kwargs,
        description=DESCRIPTION,
        result_ttl=600,
        failure_ttl=600,
        **options,
    )


def fields_of_rq(redis: Redis, job_id: str) -> dict[bytes, bytes]:
    fields = redis.hgetall(keys.job(job_id))
    return {name: fields[name] for name in fields if not name.startswith(b"spigot_")}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            ("add", {"x": 1, "y": 2}, "high"),
            {"queue_name": "default-high", "function": "add", "kwargs": {"x": 1, "y": 2}},
        ),
        (
            ("shout", {"text": "hi"}, "default"),
            {
                "queue_name": "narrow",
                "function": "shout",
                "kwargs": {"text": "hi"},
                "job_timeout": 7,
                "retry": Retry(max=2),
            },
        ),
    ],
)
def test_the_hash_is_what_rq_writes_but_for_what_is_empty(queue, redis, ours, theirs):
    our_fields = fields_of_rq(redis, queue.enqueue(*ours).id)
    their_fields = fields_of_rq(redis, enqueue_by_rq(redis, **theirs).id)
    their_fields = {name: value for name, value in their_fields.items() if value}

    assert our_fields.keys() == their_fields.keys()
    for name in our_fields.keys() - TIMES - {b"data"}:
        assert our_fields[name] == their_fields[name], name
    for name in TIMES:
        assert len(our_fields[name]) == len(their_fields[name]), name
    assert json.loads(zlib.decompress(our_fields[b"data"])) == json.loads(
        zlib.decompress(their_fields[b"data"])
    )


def test_the_keys_are_those_that_rq_writes(queue, redis):
    ours = queue.enqueue("add", {"x": 1}, "low")
    after_us = {key: (redis.type(key), redis.ttl(key)) for key in redis.scan_iter("rq:*")}
    redis.delete(*after_us)
    theirs = enqueue_by_rq(redis, "default-low", "add", {"x": 1})
    after_rq = {key: (redis.type(key), redis.ttl(key)) for key in redis.scan_iter("rq:*")}

    assert {key.replace(ours.id.encode(), b"ID"): value for key, value in after_us.items()} == {
        key.replace(theirs.id.encode(), b"ID"): value for key, value in after_rq.items()
    }


def test_rq_reads_the_job_as_its_own(queue, redis):
    def read(job_id: str) -> dict[str, object]:
        job = vars(Job.fetch(job_id, connection=redis, serializer=JSONSerializer))
        return {name: value for name, value in job.items() if name not in CHANGING}

    theirs = enqueue_by_rq(redis, "default", "add", {"x": 1})

    assert read(queue.enqueue("add", {"x": 1}).id) == read(theirs.id)


def test_stock_rq_reads_the_job(queue, redis):
    state = queue.enqueue("add", {"x": 1})

    job = Job.fetch(state.id, connection=redis, serializer=JSONSerializer)

    assert job.get_status() == JobStatus.QUEUED
    assert (job.func_name, job.args, job.kwargs) == (
        "tests.support.minimal_app.add",
        [],
        {"x": 1},
    )
    assert (job.origin, job.timeout, job.result_ttl, job.failure_ttl) == ("default", 180, 600, 600)
    assert job.description == "spigot job"
    assert job.enqueued_at == job.created_at
    assert job.enqueued_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") == state.enqueued_at
    assert [queue.name for queue in Queue.all(connection=redis)] == ["default"]
    assert Queue("default", connection=redis).get_job_ids() == [state.id]


@pytest.fixture
def work_off(redis_url):
    """Return a function that lets a stock worker run what waits."""

    def work(queue_name: str) -> None:
        with Redis.from_url(redis_url) as own:
            worker = SimpleWorker([queue_name], connection=own, serializer=JSONSerializer)
            worker.work(burst=True, logging_level="ERROR")

    return work


def test_a_stock_worker_runs_the_job(queue, redis, work_off):
    job_id = queue.enqueue("add", {"x": 1, "y": 2}).id

    work_off("default")

    job = JobReader(redis).read(job_id)
    assert (job.status, job.result, job.position, job.error) == ("finished", 3, None, None)
    assert job.started_at
    assert job.ended_at
    assert 500 < redis.ttl(keys.job(job_id)) <= 600


def test_a_job_that_fails_in_a_stock_worker_shows_its_error(queue, redis, work_off):
    job = enqueue_by_rq(redis, "default", "add", {"x": 1, "y": "2"})

    work_off("default")

    state = JobReader(redis).read(job.id)
    assert (state.status, state.type) == ("failed", "tests.support.minimal_app.add")
    assert state.error == "TypeError: unsupported operand type(s) for +: 'int' and 'str'"
    assert state.ended_at


def test_a_retry_of_a_stock_worker_is_known(queue, redis, work_off):
    job_id = queue.enqueue("shout", {"text": "hi"}).id
    redis.hset(
        keys.job(job_id), "data", zlib.compress(b'["tests.support.minimal_app.shout",null,[],{}]')
    )

    work_off("narrow")

    assert redis.hget(keys.job(job_id), "retries_left") == b"0"
    assert JobReader(redis).read(job_id).status == "failed"


def test_a_result_that_a_stock_worker_pickled_is_not_read(redis, redis_url):
    job = Queue("default", connection=redis).enqueue("tests.support.minimal_app.add", 1, 2)
    with Redis.from_url(redis_url) as own:
        SimpleWorker(["default"], connection=own).work(burst=True, logging_level="ERROR")

    state = JobReader(redis).read(job.id)

    assert (state.status, state.result, state.type) == ("finished", None, "")


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        (JobStatus.CREATED, "queued"),
        (JobStatus.QUEUED, "queued"),
        (JobStatus.DEFERRED, "delayed"),
        (JobStatus.SCHEDULED, "delayed"),
        (JobStatus.STARTED, "started"),
        (JobStatus.FINISHED, "finished"),
        (JobStatus.FAILED, "failed"),
        (JobStatus.CANCELED, "cancelled"),
        (JobStatus.STOPPED, "cancelled"),
    ],
)
def test_each_word_of_rq_is_known(queue, redis, status, ours):
    job_id = queue.enqueue("add", {"x": 1}).id
    redis.hset(keys.job(job_id), "status", status.value)

    assert JobReader(redis).read(job_id).status == ours


def test_rq_has_no_other_word():
    assert len(JobStatus) == 9
