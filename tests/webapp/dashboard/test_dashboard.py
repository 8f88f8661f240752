import pytest
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from spigot import create_app
from tests.support.problem_check import is_problem

PASSWORD = "secret"
ADMIN = ("admin", PASSWORD)
PAGES = [
    "/rq/",
    "/rq/0/view/workers",
    "/rq/0/view/jobs",
    "/rq/0/view/jobs/default/queued/8/asc/1",
    "/rq/0/view/jobs/default/failed/8/dsc/1",
    "/rq/0/data/queues.json",
    "/rq/0/data/workers.json",
    "/rq/0/data/jobs/default/queued/8/asc/1.json",
    "/rq/0/data/jobs/default/finished/8/dsc/1.json",
    "/rq/static/css/main.css",
]
CHANGES = [
    "/rq/job/abc/delete",
    "/rq/job/abc/requeue",
    "/rq/requeue/default",
    "/rq/queue/default/queued/empty",
    "/rq/queue/default/compact",
]
ATTACK = "<script>alert('x')</script>"


@pytest.fixture
def app(redis, redis_url, shared_app):
    return shared_app(redis, redis_url=redis_url, admin_password=PASSWORD)


def add(client, x=1):
    return client.post("/jobs", json={"type": "add", "payload": {"x": x}}).json["id"]


def shown(client, path):
    response = client.get(f"/rq/0/data/{path}.json", auth=ADMIN)
    assert response.status_code == 200, response.text
    return response.json


class TestAccess:
    @pytest.mark.parametrize("path", PAGES)
    def test_the_admin_sees_it(self, client, path):
        add(client)

        with client.get(path, auth=ADMIN) as response:
            assert response.status_code == 200

    @pytest.mark.parametrize("path", [*PAGES, "/rq", "/rq/0/", "/rq/nothing", "/rq/5/"])
    @pytest.mark.parametrize("auth", [None, ("admin", "wrong")])
    def test_a_stranger_does_not(self, client, path, auth):
        assert is_problem(client.get(path, auth=auth), 401)

    @pytest.mark.parametrize("path", CHANGES)
    def test_a_stranger_changes_nothing(self, client, path):
        assert is_problem(client.post(path), 401)

    @pytest.mark.parametrize("path", PAGES)
    def test_without_a_password_there_is_none(self, redis, settings, path):
        client = create_app(settings()).test_client()

        assert is_problem(client.get(path, auth=ADMIN), 404)

    def test_no_other_site_may_frame_it(self, client):
        assert client.get("/rq/", auth=ADMIN).headers["X-Frame-Options"] == "DENY"

    def test_it_does_not_show_where_the_server_is(self, client, redis_url):
        assert redis_url not in client.get("/rq/", auth=ADMIN).text


class TestWhatItShows:
    def test_the_queues(self, client):
        add(client)

        queues = shown(client, "queues")["queues"]

        assert [(queue["name"], queue["count"]) for queue in queues] == [("default", 1)]

    def test_waiting_jobs_with_type_and_payload(self, client):
        job_id = add(client)

        jobs = shown(client, "jobs/default/queued/8/asc/1")["jobs"]

        assert [(job["id"], job["description"]) for job in jobs] == [(job_id, 'add {"x": 1}')]

    def test_a_finished_job(self, client, work_off):
        job_id = add(client, x=41)
        work_off()

        job = shown(client, f"job/{job_id}")

        assert (job["status"], job["result"], job["origin"]) == ("finished", 42, "default")

    def test_a_running_job_with_its_worker(self, client, redis_url):
        job_id = add(client)
        with Redis.from_url(redis_url) as own:
            worker = SimpleWorker(["default"], connection=own, serializer=JSONSerializer, name="w1")
            worker.register_birth()
            worker.set_current_job_id(job_id)

            workers = shown(client, "workers")["workers"]

        assert [(worker["name"], worker["queues"]) for worker in workers] == [("w1", ["default"])]
        assert workers[0]["current_job"]["job_id"] == job_id

    @pytest.mark.parametrize(
        "path", ["/rq/0/view/job/nothing", "/rq/0/data/job/nothing.json", "/rq/1/", "/rq/9/"]
    )
    def test_what_does_not_exist_is_404(self, client, path):
        assert is_problem(client.get(path, auth=ADMIN), 404)


class TestAttacks:
    def test_a_strangers_text_in_an_error_is_escaped(self, client, redis, work_off):
        job_id = client.post(
            "/jobs", json={"type": "order", "payload": {"from": ATTACK, "amount": 1}}
        ).json["id"]
        redis.hset(f"rq:job:{job_id}", "description", ATTACK)
        work_off()  # which fails: the whole payload is in the error

        job = shown(client, f"job/{job_id}")

        assert job["status"] == "failed"
        assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in job["description"]
        assert "<" not in client.get(f"/rq/0/data/job/{job_id}.json", auth=ADMIN).text

    def test_a_strangers_text_in_a_running_job_is_escaped(self, client, redis_url):
        job_id = client.post("/jobs", json={"type": "order", "payload": {"from": ATTACK}}).json[
            "id"
        ]
        with Redis.from_url(redis_url) as own:
            worker = SimpleWorker(["default"], connection=own, serializer=JSONSerializer)
            worker.register_birth()
            worker.set_current_job_id(job_id)

            answer = client.get("/rq/0/data/workers.json", auth=ADMIN)

        assert "&lt;script&gt;" in answer.json["workers"][0]["current_job"]["call_string"]
        assert "<" not in answer.text

    @pytest.mark.parametrize("path", CHANGES)
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost.evil.example"},
            {"Origin": "http://localhost:8001"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        ],
    )
    def test_another_site_changes_nothing(self, client, redis, path, headers):
        job_id = add(client)

        response = client.post(path.replace("abc", job_id), auth=ADMIN, headers=headers)

        assert is_problem(response, 403)
        assert redis.lrange("rq:queue:default", 0, -1) == [job_id.encode()]

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://localhost"},
            {"Origin": "https://localhost"},
            {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
            {},
        ],
    )
    def test_its_own_pages_and_scripts_change_things(self, client, redis, headers):
        job_id = add(client)

        response = client.post(f"/rq/job/{job_id}/delete", auth=ADMIN, headers=headers)

        assert response.json == {"status": "OK"}
        assert redis.llen("rq:queue:default") == 0

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    def test_nothing_is_changed_by_reading(self, client, method):
        assert client.open("/rq/requeue/default", method=method, auth=ADMIN).status_code == 405


def test_a_failed_job_is_requeued(client, redis, work_off):
    job_id = client.post("/jobs", json={"type": "order", "payload": {"from": "a"}}).json["id"]
    work_off()
    assert client.get(f"/jobs/{job_id}").json["status"] == "failed"

    response = client.post("/rq/requeue/default", auth=ADMIN)

    assert response.json == {"status": "OK", "count": 1}
    job = client.get(f"/jobs/{job_id}").json
    assert (job["status"], job["position"]) == ("queued", 1)
