import json

from spigot.jobs.store import keys

FAR_FUTURE_MS = 4_000_000_000 * 1000
HTML = {"Accept": "text/html"}


def begun(client, redis):
    """Return the address of a job that has begun, and done 1 of 4 steps."""
    job_id = client.post("/jobs", json={"type": "add", "payload": {"x": 1}}).json["id"]
    progress = json.dumps({"done": 1, "total": 4, "note": "parsing"})
    fields = {"status": "started", "started_at": "2026-01-01T00:00:00.000000Z"}
    redis.lrem("rq:queue:default", 0, job_id)
    redis.hset(keys.job(job_id), mapping={**fields, "spigot_progress": progress})
    return f"/jobs/{job_id}"


def test_a_job_that_runs_says_for_how_long_and_how_far_it_is(client, redis):
    address = begun(client, redis)
    redis.zadd(keys.workers("default"), {"work": FAR_FUTURE_MS})

    page = client.get(address, headers=HTML).text

    assert ">running</span>" in page
    assert "running for" in page
    assert "at this pace done in about" in page


def test_one_job_that_waits_before_another_is_counted_as_one(client, redis):
    redis.zadd(keys.workers("default"), {"work": FAR_FUTURE_MS})
    jobs = [client.post("/jobs", json={"type": "add", "payload": {"x": x}}).json for x in (1, 2)]

    page = client.get(f"/jobs/{jobs[1]['id']}", headers=HTML).text

    assert "1 job starts before yours" in page


def test_a_job_whose_bucket_has_no_worker_does_not_run(client, redis):
    page = client.get(begun(client, redis), headers=HTML).text

    assert ">without a worker</span>" in page
    assert "no worker of its bucket is alive: it starts again once one is" in page
    assert not any(text in page for text in ("running for", "at this pace"))
    assert "1 of 4 · parsing" in page
