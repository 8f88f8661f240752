import pytest

from spigot.jobs.store import keys


def test_the_status_shows_what_is_in_the_buckets(client, redis):
    client.post("/jobs", json={"type": "add", "payload": {"x": 1}})
    redis.hset(keys.bucket("narrow"), "paused", 1)

    response = client.get("/api/status")

    assert response.status_code == 200
    assert response.json["status"] == "ok"
    assert response.json["server"]["answered_in"] > 0
    shown = ("name", "waiting", "running", "workers", "paused")
    assert [tuple(bucket[name] for name in shown) for bucket in response.json["buckets"]] == [
        ("default", 1, 0, 0, False),
        ("narrow", 0, 0, 0, True),
    ]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_orchestrators_are_answered(client, path):
    response = client.get(path)

    assert (response.status_code, response.json) == (200, {"status": "ok"})
