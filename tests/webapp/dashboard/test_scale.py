"""The dashboard with 50,000 jobs."""

import json

import pytest

from spigot import create_app
from spigot.jobs.job import clearing, requeueing
from spigot.jobs.store import keys
from tests.support.round_trips import counted_round_trips

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ADMIN = ("admin", "secret")
MANY = 50_000
SLICE_S = 0.004
"""Of the server's processor time, after which a step ends; as in ``slice.lua``."""

PLACES = ["queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"]


@pytest.fixture
def client(redis, settings, tmp_path):
    buckets = tmp_path / "many.json"
    buckets.write_text(json.dumps({"default": {"rate": "1000/s", "capacity": MANY}}))
    app = create_app(settings(admin_password="secret", buckets=buckets))
    return app.test_client()


@pytest.fixture
def failed(client, redis):
    """Many jobs that failed, the first the oldest."""
    client.post("/jobs", json={"type": "add", "payload": {"x": 1}})
    (job_id,) = redis.lpop(keys.queue("default"), 1)
    fields = redis.hgetall(keys.job(job_id.decode())) | {b"status": b"failed"}
    for first in range(0, MANY, 1000):
        with redis.pipeline(transaction=False) as pipeline:
            for number in range(first, first + 1000):
                pipeline.hset(keys.job(f"job-{number}"), mapping=fields)
                pipeline.zadd(keys.failed("default"), {f"job-{number}": 2e9 + number})
            pipeline.execute()


def press(client, redis, path, at_once):
    """Press a button; hold it to steps of ``at_once`` entries, or of all that fits into a slice."""
    before_s = processor_seconds(redis)
    with counted_round_trips() as sent:
        answer = client.post(f"/rq/{path}", auth=ADMIN)
    assert answer.status_code == 200, answer.text
    slices = (processor_seconds(redis) - before_s) / SLICE_S
    assert len(sent) <= MANY / at_once + slices + 10
    return answer.json["count"]


def processor_seconds(redis):
    cpu = redis.info("cpu")
    return cpu["used_cpu_user"] + cpu["used_cpu_sys"]


def test_all_are_requeued_and_emptied_in_short_steps(client, redis, failed):
    assert press(client, redis, "requeue/default", requeueing.AT_ONCE) == MANY
    assert client.get("/buckets/default").json["waiting"] == MANY
    assert client.get("/jobs/job-0").json["position"] == 1
    assert client.get(f"/jobs/job-{MANY - 1}").json["position"] == MANY

    redis.delete(*(keys.job(f"job-{number}") for number in range(0, MANY, 1000)))
    compacted = press(client, redis, "queue/default/compact", clearing.AT_ONCE)
    assert compacted == MANY / 1000

    entries, left = redis.llen(keys.queue("default")), MANY - MANY // 1000
    assert press(client, redis, "queue/default/queued/empty", clearing.AT_ONCE) == entries
    assert client.get("/buckets/default").json["waiting"] == 0
    assert client.get("/jobs/job-1").json["status"] == "cancelled"
    assert redis.zcard("rq:canceled:default") == left

    assert press(client, redis, "queue/default/canceled/empty", clearing.AT_ONCE) == left
    assert redis.exists(keys.job("job-1"), "rq:canceled:default") == 0


def test_every_page_reads_a_page(client, failed):
    def ask(path):
        with counted_round_trips() as sent:
            answer = client.get(f"/rq/{path}", auth=ADMIN)
        assert answer.status_code == 200, answer.text
        assert len(answer.data) < 50_000
        assert sum(map(len, sent)) < 10_000
        return answer

    ask("")
    ask("0/data/queues.json")
    ask("0/view/workers")
    for place in PLACES:
        ask(f"0/view/jobs/default/{place}/8/asc/1")
        for page in (1, MANY // 16 + 100, MANY // 8):
            for order in ("asc", "dsc"):
                ask(f"0/data/jobs/default/{place}/8/{order}/{page}.json")
