"""Two Spigots, each with a server of its own, and one server for both doors (docs/scaling.md)."""

import json

import pytest

from spigot import create_app

RULES = {"jobs": {"limit": 2, "window": 3600, "match": "POST /jobs"}}
JOB = {"type": "add", "payload": {"x": 1}}


@pytest.fixture
def spigots(redis, redis_url, settings, tmp_path):
    """Clients of both; databases of the test's server stand for servers."""
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    doors = {"limits_redis_url": redis_url, "rate_limits": tmp_path / "rules.json"}
    return [
        create_app(settings(redis_url=f"{redis_url}?db={number}", **doors)).test_client()
        for number in (1, 2)
    ]


def test_a_client_has_each_limit_once(spigots):
    answers = [spigot.post("/jobs", json=JOB).status_code for spigot in [*spigots, *spigots]]

    assert answers == [202, 202, 429, 429]


def test_jobs_keys_and_buckets_of_one_are_none_of_the_other(spigots):
    headers = {"Idempotency-Key": "order-4711"}
    jobs = [spigot.post("/jobs", json=JOB, headers=headers) for spigot in spigots]
    first, second = (job.json["id"] for job in jobs)

    assert [job.status_code for job in jobs] == [202, 202]
    assert [spigot.get(f"/jobs/{first}").status_code for spigot in spigots] == [200, 404]
    assert [spigot.get(f"/jobs/{second}").status_code for spigot in spigots] == [404, 200]
    for spigot in spigots:
        buckets = spigot.get("/buckets").json["buckets"]
        assert [bucket["waiting"] for bucket in buckets if bucket["name"] == "default"] == [1]
