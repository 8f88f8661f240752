import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from redis import Redis
from rq import Queue

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import keys
from spigot.runtime.server.redis_connection import connect
from spigot.worker.idle import plain_push_listener
from spigot.worker.idle.plain_push_listener import PlainPushListener
from tests.support.processes import wait_for
from tests.support.servers import own_server

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bucket(redis):
    """A bucket of nobody else: a look may outlive its test."""
    name = f"pushed_{uuid4().hex}"
    BucketPublisher(redis).publish({name: BucketConfig()})
    redis.delete(keys.wake_up(name))
    return name


@pytest.fixture
def wake_up(bucket):
    return keys.wake_up(bucket)


@pytest.fixture
def listener(bucket, redis_url):
    listener = PlainPushListener(
        connect(redis_url, timeout=10, client_name=bucket), bucket, [bucket]
    )
    listener.start()
    yield listener
    listener.stop_listening()


@pytest.fixture
def queue(bucket, redis):
    return Queue(bucket, connection=redis, serializer="json")


def is_looking(redis: Redis, name: str) -> bool:
    """Return whether the listener whose connection has that name waits for a push just now."""
    return any(
        client["name"] == name and client["cmd"] == "blmove" and "b" in client["flags"]
        for client in redis.client_list()
    )


def wait_until_it_looks(redis: Redis, name: str) -> None:
    wait_for(lambda: is_looking(redis, name))


def test_a_push_wakes_a_worker_and_moves_nothing(listener, bucket, queue, wake_up, redis):
    listener.listen()
    wait_until_it_looks(redis, bucket)
    with redis.pipeline() as pipeline:
        jobs = [queue.enqueue("f.g", pipeline=pipeline).id for _ in range(3)]
        pipeline.execute()

    assert redis.blpop([wake_up], timeout=20)
    assert queue.job_ids == jobs


def test_every_push_wakes_a_worker(listener, queue, wake_up, redis):
    listener.listen()
    for _ in range(3):
        queue.enqueue("f.g")
        assert redis.blpop([wake_up], timeout=20)
        redis.delete(queue.key)  # as a worker that took the job
        redis.delete(wake_up)


def test_a_job_that_waits_already_wakes_a_worker(listener, queue, wake_up, redis):
    queue.enqueue("f.g")

    listener.listen()

    assert redis.blpop([wake_up], timeout=20)


def test_nothing_is_listened_for_unless_it_is_wanted(listener, bucket, queue, wake_up, redis):
    queue.enqueue("f.g")

    assert redis.blpop([wake_up], timeout=0.3) is None
    assert not is_looking(redis, bucket)


def test_a_look_that_is_not_wanted_any_more_wakes_nobody(listener, bucket, queue, wake_up, redis):
    listener.listen()
    wait_until_it_looks(redis, bucket)
    listener.stop_listening()
    queue.enqueue("f.g")
    wait_for(lambda: not is_looking(redis, bucket))

    assert redis.blpop([wake_up], timeout=0.3) is None


def test_a_job_that_was_taken_meanwhile_wakes_nobody(listener, bucket, queue, wake_up, redis):
    listener.listen()
    wait_until_it_looks(redis, bucket)
    with redis.pipeline() as pipeline:  # taken before the listener can do anything
        pipeline.rpush(queue.key, "a").lpop(queue.key).execute()

    assert redis.blpop([wake_up], timeout=0.3) is None


def test_a_backlog_that_nobody_takes_wakes_one_worker_and_looked_at_less_and_less(
    bucket, queue, wake_up, redis
):
    listener = PlainPushListener(redis, bucket, [bucket])
    queue.enqueue("f.g")
    listener.listen()

    pauses = [listener._look()]
    assert redis.delete(wake_up) == 1
    pauses += [listener._look() for _ in range(8)]

    assert redis.exists(wake_up) == 0
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]


def test_another_job_wakes_a_worker_at_once_again(bucket, queue, wake_up, redis):
    listener = PlainPushListener(redis, bucket, [bucket])
    queue.enqueue("f.g")
    listener.listen()
    pauses = [listener._look(), listener._look()]
    redis.delete(queue.key, wake_up)
    queue.enqueue("f.g")

    pauses.append(listener._look())

    assert pauses == [0.01, 0.02, 0.01]
    assert redis.exists(wake_up) == 1


def test_a_job_that_spigot_enqueued_wakes_nobody_again(bucket, queue, wake_up, redis):
    listener = PlainPushListener(redis, bucket, [bucket])
    job = queue.enqueue("f.g")
    redis.hset(job.key, "spigot_enqueued_us", 1)
    listener.listen()

    listener._look()

    assert redis.exists(wake_up) == 0


def test_what_is_no_list_is_left_alone_for_a_while(bucket, queue, redis, caplog):
    redis.set(queue.key, "no list")

    assert PlainPushListener(redis, bucket, [bucket])._look() == plain_push_listener.REFUSED_SECONDS

    assert "only polled" in caplog.text
    assert redis.get(queue.key) == b"no list"


def test_a_server_that_is_away_is_asked_again(monkeypatch):
    monkeypatch.setattr(plain_push_listener, "AWAY_SECONDS", 0.01)
    with own_server(durable=True) as server:
        listener = PlainPushListener(
            connect(server.url, timeout=10, client_name="pushed"), "pushed", ["pushed"]
        )
        with connect(server.url, timeout=10) as redis:
            listener.start()
            listener.listen()
            wait_until_it_looks(redis, "pushed")
        server.kill()
        server.start()

        with connect(server.url, timeout=10) as redis:
            wait_until_it_looks(redis, "pushed")
            redis.rpush(keys.queue("pushed"), "a")
            assert redis.blpop([keys.wake_up("pushed")], timeout=20)
        listener.stop_listening()


def test_a_queue_that_the_worker_does_not_serve_is_not_listened_to(
    bucket, queue, wake_up, redis, redis_url
):
    listener = PlainPushListener(
        connect(redis_url, timeout=10, client_name="pushed"), bucket, [f"{bucket}-high"]
    )
    listener.start()
    queue.enqueue("f.g")

    listener.listen()

    assert redis.blpop([wake_up], timeout=0.3) is None


SCRIPT = """
import sys
from spigot.runtime.server.redis_connection import connect
from spigot.worker.idle.plain_push_listener import PlainPushListener
connection = connect(sys.argv[1], timeout=10, client_name="pushed")
listener = PlainPushListener(connection, "pushed", ["pushed"])
listener.start()
listener.listen()
sys.stdin.read()
"""


def test_no_process_is_kept_from_ending(redis, redis_url):
    command = [sys.executable, "-c", SCRIPT, redis_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as process:
        wait_until_it_looks(redis, "pushed")
        process.stdin.close()

        assert process.wait(60) == 0
