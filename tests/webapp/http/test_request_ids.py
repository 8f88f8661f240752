"""The header X-Request-ID."""

import re

import pytest

from spigot.jobs.store import keys
from spigot.runtime.log_ids import current_ids

MADE = re.compile("[0-9a-f]{32}")


def add(client, **headers):
    return client.post("/jobs", json={"type": "add", "payload": {"x": 1}}, headers=headers)


def test_each_answer_names_its_request(client):
    first, second = (client.get("/livez").headers["X-Request-ID"] for _ in range(2))

    assert MADE.fullmatch(first)
    assert first != second


@pytest.mark.parametrize(
    "sent",
    ["8e6b7c9a-1d1f-4b6e-9a53-0c9c0c2b7d11", "Root=1-67891233-abcdef012345678912345678", "a" * 128],
)
def test_a_name_that_the_client_or_its_proxy_gave_is_kept(client, sent):
    assert client.get("/livez", headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "a" * 129, "a b", 'a"b', "a;b", "é", "{}", "<script>"])
def test_a_name_that_may_do_harm_is_replaced(client, sent):
    answer = client.get("/livez", headers={"X-Request-ID": sent.encode().decode("latin-1")})

    assert MADE.fullmatch(answer.headers["X-Request-ID"])


@pytest.mark.parametrize("path", ["/jobs/none", "/broken", "/nowhere"])
def test_errors_are_named_too(client, path):
    answer = client.get(path, headers={"X-Request-ID": "r1"})

    assert answer.status_code >= 400
    assert answer.headers["X-Request-ID"] == "r1"


def test_refusals_are_named_too(settings, redis, tmp_path):
    from spigot import create_app

    rules = tmp_path / "none.json"
    rules.write_text('{"default": {"limit": 1, "window": 60, "deny": ["127.0.0.1"]}}')
    client = create_app(settings(rate_limits=rules)).test_client()

    answer = client.get("/buckets", headers={"X-Request-ID": "r1"})

    assert answer.status_code == 403
    assert answer.headers["X-Request-ID"] == "r1"


def test_a_stream_is_named_too(client):
    job = add(client).json
    client.delete(f"/jobs/{job['id']}")

    answer = client.get(f"/jobs/{job['id']}/events", headers={"X-Request-ID": "r1"})

    assert answer.headers["X-Request-ID"] == "r1"


def test_a_job_remembers_the_request_that_made_it(client, redis):
    job = add(client, **{"X-Request-ID": "r1"}).json

    assert redis.hget(keys.job(job["id"]), "spigot_request_id") == b"r1"


def test_no_request_lends_its_name_to_the_next(client):
    add(client, **{"X-Request-ID": "r1"})

    assert current_ids() == {}
