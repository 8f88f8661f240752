"""What version 0.9 of rq-dashboard reads wrongly, each fault with a test."""

import json
import pickle
import zlib

import pytest
from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.results import Result
from rq.serializers import JSONSerializer, PickleSerializer

from spigot import create_app
from spigot.jobs.store import keys
from spigot.webapp.dashboard.reading import ReadingJob
from tests.support.problem_check import is_problem
from tests.support.round_trips import counted_round_trips
from tests.support.servers import own_server

ADMIN = ("admin", "secret")
NEW_CONNECTION = b"SETINFO"
"""In what a client sends at first; other threads of this process may connect at any time."""

PLACES = ["queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"]


class Bomb:
    """A pickle that tells when it is read."""

    read = False

    def __reduce__(self):
        return setattr, (Bomb, "read", True)


@pytest.fixture
def app(redis, redis_url, shared_app):
    Bomb.read = False
    return shared_app(redis, redis_url=redis_url, admin_password="secret")


@pytest.fixture
def queue(redis_url):
    with Redis.from_url(redis_url) as own:
        yield Queue("default", connection=own, serializer=JSONSerializer)


def shown(client, path):
    response = client.get(f"/rq/0/data/{path}.json", auth=ADMIN)
    assert response.status_code == 200, response.text
    return response.json


def fill(redis, place, count):
    """Put jobs ``job-000`` and so on into one list, oldest first, as RQ would."""
    with redis.pipeline() as pipeline:
        for number in range(count):
            job = f"job-{number:03}"
            fields = {"data": b"x", "origin": "default", "created_at": "2026-01-01T00:00:00Z"}
            pipeline.hset(keys.job(job), mapping=fields)
            if place == "queued":
                pipeline.rpush(keys.queue("default"), job)
            elif place == "started":
                pipeline.zadd(keys.running("default"), {f"{job}:token": number})
            else:
                pipeline.zadd(f"rq:{place}:default", {job: number})
        pipeline.execute()


class TestPages:
    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("order", ["asc", "dsc"])
    def test_each_job_is_on_one_page(self, client, redis, place, order):
        fill(redis, place, 20)

        pages = [shown(client, f"jobs/default/{place}/8/{order}/{page}") for page in (1, 2, 3)]

        ids = [job["id"] for page in pages for job in page["jobs"]]
        expected = [f"job-{number:03}" for number in range(20)]
        assert ids == (expected if order == "asc" else expected[::-1])
        assert [len(page["jobs"]) for page in pages] == [8, 8, 4]
        assert [page["pagination"]["num_pages"] for page in pages] == [3, 3, 3]

    def test_what_a_bucket_delays_is_scheduled(self, client, redis):
        fill(redis, "scheduled", 10)
        delayed = {f"retry-{number}": number for number in range(10)}
        redis.zadd(keys.delayed("default"), delayed)
        for job in delayed:
            redis.hset(keys.job(job), mapping=redis.hgetall(keys.job("job-000")))
        redis.sadd("rq:queues", keys.queue("default"))

        for order in ("asc", "dsc"):
            pages = [
                shown(client, f"jobs/default/scheduled/8/{order}/{page}") for page in (1, 2, 3)
            ]
            ids = [job["id"] for page in pages for job in page["jobs"]]
            expected = [
                f"{kind}-{n:0{w}}" for kind, w in (("retry", 1), ("job", 3)) for n in range(10)
            ]
            assert ids == (expected if order == "asc" else expected[::-1])
        (queue,) = shown(client, "queues")["queues"]
        assert queue["scheduled_job_registry_count"] == 20

    @pytest.mark.parametrize("place", ["queued", "failed"])
    @pytest.mark.parametrize("order", ["asc", "dsc"])
    def test_a_page_beyond_the_last_is_empty(self, client, redis, place, order):
        fill(redis, place, 3)

        assert shown(client, f"jobs/default/{place}/8/{order}/2")["jobs"] == []
        assert shown(client, f"jobs/default/{place}/8/{order}/999999999")["jobs"] == []

    def test_a_page_costs_as_little_at_the_end_of_a_long_queue(self, client, redis):
        redis.rpush(keys.queue("default"), *(f"job-{number}" for number in range(100_000)))

        for page in (1, 6375, 12_500):
            with counted_round_trips() as sent:
                shown(client, f"jobs/default/queued/8/asc/{page}")
            assert sum(map(len, sent)) < 5_000

    def test_no_page_is_longer_than_the_dashboard_offers(self, client, redis):
        fill(redis, "queued", 230)

        page = shown(client, "jobs/default/queued/100000/asc/1")

        assert len(page["jobs"]) == 200
        assert page["pagination"]["num_pages"] == 2

    @pytest.mark.parametrize(
        "path",
        [
            "default/queued/0/asc/1",
            "default/queued/8/asc/0",
            "default/queued/-8/asc/1",
            "default/queued/8/asc/-1",
            "default/queued/x/asc/1",
            "default/queued/8/asc/x",
            "default/queued/8/asc/99999999999999999999",
            "default/queued/8/up/1",
            "default/nowhere/8/asc/1",
            "');alert(1);('/queued/8/asc/1",
            "<script>/queued/8/asc/1",
        ],
    )
    @pytest.mark.parametrize("kind", ["view", "data"])
    def test_what_is_no_page_is_404(self, client, path, kind):
        end = ".json" if kind == "data" else ""

        assert is_problem(client.get(f"/rq/0/{kind}/jobs/{path}{end}", auth=ADMIN), 404)


class TestOneJob:
    def test_that_depends_on_others_is_shown_with_them(self, client, queue, redis):
        first, second = queue.enqueue(print), queue.enqueue(print)
        job = queue.enqueue(print, depends_on=[first, second])
        redis.delete(keys.job(second.id))

        told = shown(client, f"job/{job.id}")

        found = dict(zip(told["depends_on"], told["depends_on_status"], strict=True))
        assert found == {first.id: "active", second.id: "expired"}
        assert [job["id"] for job in shown(client, "jobs/default/deferred/8/asc/1")["jobs"]] == [
            job.id
        ]

    def test_that_runs_is_in_the_list_of_those(self, client, redis):
        fill(redis, "started", 1)
        redis.hset(keys.job("job-000"), "status", "started")

        assert [job["id"] for job in shown(client, "jobs/default/started/8/asc/1")["jobs"]] == [
            "job-000"
        ]
        assert shown(client, "job/job-000")["status"] == "started"

    @pytest.mark.parametrize(
        "path", ["view/job/nothing", "data/job/nothing.json", "view/job/a%20b"]
    )
    def test_that_is_not_there_is_404(self, client, path):
        assert is_problem(client.get(f"/rq/0/{path}", auth=ADMIN), 404)

    @pytest.mark.parametrize("path", ["1/", "9/view/workers", "1/data/queues.json"])
    def test_on_another_server_is_404(self, client, path):
        assert is_problem(client.get(f"/rq/{path}", auth=ADMIN), 404)


class TestPickles:
    @pytest.fixture
    def pickled(self, queue) -> Job:
        """A job of plain RQ, whose every part is a program."""
        own = Queue("default", connection=queue.connection, serializer=PickleSerializer)
        return own.enqueue(print, Bomb(), meta={"bomb": Bomb()}, description="pickled")

    def test_are_not_run_by_any_page(self, client, pickled):
        for path in ("view/jobs", f"view/job/{pickled.id}"):
            assert client.get(f"/rq/0/{path}", auth=ADMIN).status_code == 200
        told = shown(client, f"job/{pickled.id}")
        jobs = shown(client, "jobs/default/queued/8/asc/1")["jobs"]

        assert told["description"] == "pickled"
        assert "(not shown: it is no JSON)" in told["metadata"]
        assert [job["description"] for job in jobs] == ["pickled"]
        assert not Bomb.read

    def test_that_a_job_returned_are_not_run(self, client, pickled, redis):
        redis.hset(keys.job(pickled.id), "status", "finished")
        Result.create(pickled, Result.Type.SUCCESSFUL, ttl=60, return_value=Bomb())

        assert shown(client, f"job/{pickled.id}")["result"] == "(not shown: it is no JSON)"
        assert not Bomb.read

    def test_that_a_worker_runs_are_not_run_here(self, client, pickled, queue):
        worker = SimpleWorker(["default"], connection=queue.connection, name="w1")
        worker.register_birth()
        worker.set_current_job_id(pickled.id)

        (told,) = shown(client, "workers")["workers"]

        assert told["current_job"]["call_string"] == "(not shown: it is no JSON)"
        assert not Bomb.read

    def test_the_bomb_works(self):
        pickle.loads(pickle.dumps(Bomb()))

        assert Bomb.read


class TestWorkers:
    def test_whose_job_was_deleted_is_shown_as_idle(self, client, queue):
        worker = SimpleWorker(["default"], connection=queue.connection, name="w1")
        worker.register_birth()
        worker.set_current_job_id("deleted")

        assert [told["current_job"] for told in shown(client, "workers")["workers"]] == ["idle"]


class TestServer:
    def test_is_asked_over_one_connection(self, client, redis_url):
        shown(client, "queues")

        with counted_round_trips() as sent:
            for path in ("queues", "workers", "jobs/default/queued/8/asc/1"):
                for _ in range(10):
                    shown(client, path)
        with counted_round_trips() as sent_at_first, Redis.from_url(redis_url) as another:
            another.ping()

        assert sent
        assert not [packet for packet in sent if NEW_CONNECTION in packet]
        assert [packet for packet in sent_at_first if NEW_CONNECTION in packet]

    @pytest.mark.parametrize("fault", [pytest.param("hang", marks=pytest.mark.slow), "kill"])
    def test_that_is_away_is_said(self, settings, fault):
        with own_server() as server:
            client = create_app(
                settings(redis_url=server.url, admin_password="secret")
            ).test_client()
            shown(client, "queues")
            getattr(server, fault)()

            for path in ("", "0/view/workers", "0/data/queues.json"):
                assert is_problem(client.get(f"/rq/{path}", auth=ADMIN), 503)


def test_hidden_fields_of_a_payload_are_shown_as_asterisks(redis):
    data = zlib.compress(json.dumps(["m.f", None, [], {"user": "ada", "pin": "1234"}]).encode())
    fields = {"data": data, "created_at": "2026-01-01T00:00:00.000000Z"}
    redis.hset(keys.job("open"), mapping=fields)
    redis.hset(keys.job("hidden"), mapping={**fields, "spigot_hidden": '[["pin"]]'})

    shown = [
        ReadingJob.fetch(name, connection=redis).get_call_string() for name in ("open", "hidden")
    ]

    assert shown == ["m.f(pin='1234', user='ada')", "m.f(pin='**********', user='ada')"]
