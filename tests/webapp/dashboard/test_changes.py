"""What the dashboard's buttons do goes through the books of the buckets."""

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.store import keys
from tests.support.problem_check import is_problem

ADMIN = ("admin", "secret")


@pytest.fixture
def app(redis, redis_url, shared_app):
    return shared_app(redis, redis_url=redis_url, admin_password="secret")


def add(client, payload=None):
    """Return the id of a new job, which fails without a right payload."""
    return client.post("/jobs", json={"type": "add", "payload": payload or {"x": 1}}).json["id"]


def fail(client, redis, work_off, count=1):
    """Return the ids of jobs that have failed, a second after each other."""
    ids = []
    for number in range(count):
        ids.append(add(client))
        redis.hset(keys.job(ids[-1]), "data", b"no job")
        work_off()
        redis.zadd(keys.failed("default"), {ids[-1]: 2_000_000_000 + number})
    return ids


def press(client, path):
    return client.post(f"/rq/{path}", auth=ADMIN)


def job(client, job_id):
    return client.get(f"/jobs/{job_id}").json


def bucket(client):
    return client.get("/buckets/default").json


class TestDelete:
    def test_cancels_a_job_that_waits(self, client):
        job_id = add(client)

        assert press(client, f"job/{job_id}/delete").json == {"status": "OK"}

        assert job(client, job_id)["status"] == "cancelled"
        assert bucket(client)["waiting"] == 0

    def test_forgets_a_job_that_has_ended(self, client, work_off, redis):
        job_id = add(client)
        work_off()

        assert press(client, f"job/{job_id}/delete").json == {"status": "OK"}

        assert client.get(f"/jobs/{job_id}").status_code == 404
        assert redis.zcard("rq:finished:default") == 0

    def test_of_no_job_is_404(self, client):
        assert is_problem(press(client, "job/nobody/delete"), 404)


class TestRequeue:
    def test_lets_a_failed_job_wait_again(self, client, redis, work_off):
        (job_id,) = fail(client, redis, work_off)

        assert press(client, f"job/{job_id}/requeue").json == {"status": "OK"}

        assert (job(client, job_id)["status"], job(client, job_id)["position"]) == ("queued", 1)
        assert (bucket(client)["waiting"], redis.zcard("rq:failed:default")) == (1, 0)

    def test_of_a_job_that_did_not_fail_is_refused(self, client):
        job_id = add(client)

        assert is_problem(press(client, f"job/{job_id}/requeue"), 409)
        assert bucket(client)["waiting"] == 1

    def test_respects_the_capacity(self, client, redis, work_off):
        (job_id,) = fail(client, redis, work_off)
        for _ in range(3):
            add(client)

        refused = press(client, f"job/{job_id}/requeue")

        assert is_problem(refused, 503)
        assert int(refused.headers["Retry-After"]) >= 1
        assert job(client, job_id)["status"] == "failed"

    def test_of_no_job_is_404(self, client):
        assert is_problem(press(client, "job/nobody/requeue"), 404)

    def test_of_a_job_of_no_bucket_says_so(self, client, redis_url):
        with Redis.from_url(redis_url) as own:
            queue = Queue("Elsewhere", connection=own, serializer=JSONSerializer)
            failed = queue.enqueue(print)
            failed.set_status("failed")
            queue.failed_job_registry.add(failed, 60)

        assert is_problem(press(client, f"job/{failed.id}/requeue"), 409)
        assert is_problem(press(client, "requeue/Elsewhere"), 409)


class TestRequeueAll:
    def test_lets_all_wait_again(self, client, redis, work_off):
        ids = fail(client, redis, work_off, 3)

        assert press(client, "requeue/default").json == {"status": "OK", "count": 3}

        assert {job(client, job_id)["position"] for job_id in ids} == {1, 2, 3}
        assert bucket(client)["waiting"] == 3

    def test_takes_as_many_as_there_is_room_for(self, client, redis, work_off):
        fail(client, redis, work_off, 3)
        add(client)

        refused = press(client, "requeue/default")

        assert is_problem(refused, 503)
        assert refused.json["count"] == 2
        assert (bucket(client)["waiting"], redis.zcard("rq:failed:default")) == (3, 1)


class TestEmpty:
    def test_cancels_what_waits(self, client):
        ids = [add(client) for _ in range(3)]

        assert press(client, "queue/default/queued/empty").json == {"status": "OK", "count": 3}

        assert {job(client, job_id)["status"] for job_id in ids} == {"cancelled"}
        assert bucket(client)["waiting"] == 0
        assert add(client)

    def test_forgets_what_has_failed(self, client, redis, work_off):
        ids = fail(client, redis, work_off, 2)

        assert press(client, "queue/default/failed/empty").json == {"status": "OK", "count": 2}

        assert [client.get(f"/jobs/{job_id}").status_code for job_id in ids] == [404, 404]

    def test_says_who_did_it(self, client):
        job_id = add(client)

        press(client, "queue/default/queued/empty")

        assert job(client, job_id)["error"] == (
            "Cancelled: its queue was emptied by admin at 127.0.0.1"
        )

    def test_of_no_place_is_404(self, client):
        assert is_problem(press(client, "queue/default/nowhere/empty"), 404)


def test_compact_leaves_jobs_alone(client, redis):
    redis.rpush(keys.queue("default"), "nobody")
    job_id = add(client)

    assert press(client, "queue/default/compact").json == {"status": "OK", "count": 1}
    assert redis.lrange(keys.queue("default"), 0, -1) == [job_id.encode()]
    assert bucket(client)["waiting"] == 1


def test_a_dashboard_without_one_of_these_views_stops_the_start(app, monkeypatch):
    from spigot.webapp.dashboard.changes import replace_changes

    del app.view_functions["rq_dashboard.empty_queue"]

    with pytest.raises(LookupError, match="rq-dashboard has no view empty_queue"):
        replace_changes(app, app.extensions["dashboard_changes"])
