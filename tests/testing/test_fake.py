import json
import subprocess
import sys
import threading

import pytest

from spigot import BucketFull, InvalidPayload, create_app, enqueue
from spigot.runtime.settings import load_settings
from spigot.testing import Enqueued, fake, inline
from tests.testing import tested_app

APPS = ["tests.testing.tested_app"]


@pytest.fixture(autouse=True)
def files(folder):
    (folder / "buckets.json").write_text('{"default": {"capacity": 2}, "ai": {"rate": "1/s"}}')
    (folder / "rate_limits.json").write_text('{"ask": {"limit": 2, "window": 60}}')


@pytest.fixture
def queue():
    with fake(apps=APPS) as queue:
        yield queue


def test_keeps_what_a_view_enqueues(queue, folder):
    client = tested_app.create_app(folder / "rate_limits.json").test_client()

    assert client.post("/ask/d1").status_code == 202
    assert queue.jobs == [("summary", {"doc_id": "d1"})]
    assert tested_app.attempts == []


def test_tells_all_of_a_job(queue):
    job = enqueue("summary", {"doc_id": "d1"}, priority="low", delay=60)

    assert queue.enqueued == [Enqueued(job.id, "summary", {"doc_id": "d1"}, "low", 60)]
    assert queue.state(job.id).status == "delayed"


def test_validates_and_refuses_as_a_server_does(queue):
    with pytest.raises(InvalidPayload):
        enqueue("summary", {"doc": "d1"})
    for _ in range(2):
        enqueue("chain", {"left": 0})
    with pytest.raises(BucketFull):
        enqueue("chain", {"left": 0})

    assert len(queue.jobs) == 2


def test_a_repeated_key_enqueues_nothing(queue):
    jobs = [enqueue("chain", {"left": 0}, idempotency_key="k") for _ in range(2)]

    assert jobs[0].id == jobs[1].id
    assert len(queue.jobs) == 1


def test_a_job_can_be_looked_at_and_cancelled(queue):
    job = enqueue("chain", {"left": 0})

    assert job.refresh().position == 1
    assert job.cancel().status == "cancelled"
    with pytest.raises(LookupError, match="there is no job 'nobody'"):
        queue.state("nobody")


def test_the_door_counts_in_memory(queue, folder):
    client = tested_app.create_app(folder / "rate_limits.json").test_client()

    answers = [client.post("/ask/d1") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[0].headers["RateLimit"] == '"ask";r=1;t=60'


def test_spigots_own_api_works(queue):
    client = create_app(load_settings()).test_client()

    answer = client.post("/jobs", json={"type": "summary", "payload": {"doc_id": "d1"}})

    assert answer.status_code == 202
    assert client.get(f"/jobs/{answer.json['id']}").json["position"] == 1
    assert queue.jobs == [("summary", {"doc_id": "d1"})]


def test_blocks_share_nothing():
    with fake(apps=APPS) as first:
        enqueue("chain", {"left": 0})
    with fake(apps=APPS) as second:
        enqueue("chain", {"left": 1})

    assert (first.jobs, second.jobs) == ([("chain", {"left": 0})], [("chain", {"left": 1})])


def test_what_was_there_before_is_there_afterwards(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    with fake(apps=APPS):
        enqueue("chain", {"left": 0})

    assert load_settings().redis_url == "redis://127.0.0.1:1"


def test_threads_may_enqueue(queue):
    threads = [
        threading.Thread(target=enqueue, args=["summary", {"doc_id": str(n)}]) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(json.dumps(payload) for _, payload in queue.jobs) == [
        json.dumps({"doc_id": str(n)}) for n in range(8)
    ]


def test_what_was_enqueued_can_be_forgotten(queue):
    enqueue("chain", {"left": 0})
    queue.clear()

    assert queue.jobs == []


def test_without_its_extra_it_says_what_to_install():
    code = "import sys; sys.modules['fakeredis'] = None; from spigot.testing import fake"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stderr.splitlines()[-1].endswith("pip install 'spigot-jobs[testing]'")


def test_one_name_in_place_of_a_list_of_apps_is_refused():
    for block in (fake, inline):
        with pytest.raises(ValueError, match=r"apps must be a list .* such as \['shop'\]"):
            block(apps="shop").__enter__()
