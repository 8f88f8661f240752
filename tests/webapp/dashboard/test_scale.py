"""The dashboard with 100,000 jobs."""

import json

import pytest

from spigot import create_app
from spigot.jobs.store import keys
from tests.support.round_trips import counted_round_trips

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ADMIN = ("admin", "secret")
MANY = 100_000
PLACES = ["queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"]


@pytest.fixture
def client(redis, redis_url, settings, tmp_path):
    buckets = tmp_path / "many.json"
    buckets.write_text(json.dumps({"default": {"rate": "1000/s", "capacity": MANY}}))
    app = create_app(settings(redis_url=redis_url, admin_password="secret", buckets=buckets))
    return app.test_client()


@pytest.fixture
def failed(client, redis):
    """A hundred thousand jobs that failed, the first the oldest."""
    client.post("/jobs", json={"type": "add", "payload": {"x": 1}})
    (job_id,) = redis.lpop(keys.queue("default"), 1)
    fields = redis.hgetall(keys.job(job_id.decode())) | {b"status": b"failed"}
    for first in range(0, MANY, 1000):
        with redis.pipeline(transaction=False) as pipeline:
            for number in range(first, first + 1000):
                pipeline.hset(keys.job(f"job-{number}"), mapping=fields)
                pipeline.zadd(keys.failed("default"), {f"job-{number}": 2e9 + number})
            pipeline.execute()


def press(client, path):
    answer = client.post(f"/rq/{path}", auth=ADMIN)
    assert answer.status_code == 200, answer.text
    return answer.json["count"]


def test_all_are_requeued_and_emptied_in_short_steps(client, redis, failed):
    with counted_round_trips() as sent:
        assert press(client, "requeue/default") == MANY
    assert len(sent) <= MANY / 20 + 10  # a step ends by the time that it takes of the server
    assert client.get("/buckets/default").json["waiting"] == MANY
    assert client.get("/jobs/job-0").json["position"] == 1
    assert client.get(f"/jobs/job-{MANY - 1}").json["position"] == MANY

    redis.delete(*(keys.job(f"job-{number}") for number in range(0, MANY, 1000)))
    with counted_round_trips() as sent:
        assert press(client, "queue/default/compact") == MANY / 1000
    assert len(sent) <= MANY / 20 + 10

    with counted_round_trips() as sent:
        left = MANY - MANY // 1000
        assert press(client, "queue/default/queued/empty") >= left  # blank entries count
    assert len(sent) <= MANY / 20 + 10
    assert client.get("/buckets/default").json["waiting"] == 0
    assert client.get("/jobs/job-1").json["status"] == "cancelled"
    assert redis.zcard("rq:canceled:default") == left

    assert press(client, "queue/default/canceled/empty") == left
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
        for page in (1, 6375, MANY // 8):
            for order in ("asc", "dsc"):
                ask(f"0/data/jobs/default/{place}/8/{order}/{page}.json")
