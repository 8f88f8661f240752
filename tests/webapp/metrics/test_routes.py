"""What ``/metrics`` shows, of one process."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from spigot import create_app
from spigot.jobs.store import keys
from tests.support.round_trips import counted_round_trips
from tests.support.servers import own_server

SAMPLES = re.compile(r'[a-z_]+(\{([a-z_]+="[^"]*",?)+\})? \S+')
ALLOWED_LABELS = {"bucket", "type", "reason", "rule", "outcome", "code", "le"}


def samples(client):
    """Return the values by name and labels."""
    response = client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def add(client):
    return client.post("/jobs", json={"type": "add", "payload": {"x": 1}})


@pytest.fixture
def client(own_app):
    """Of an app that has counted nothing yet."""
    return own_app.test_client()


@pytest.fixture
def limited(redis, settings, tmp_path):
    """A client of the app whose rule lets two requests pass."""
    few, default = {"limit": 2, "window": 60, "match": "/few"}, {"limit": 9, "window": 1}
    rules = tmp_path / "few.json"
    rules.write_text(json.dumps({"few": few, "default": default}))
    return create_app(settings(rate_limits=rules)).test_client()


def test_is_text_that_prometheus_reads(client):
    response = client.get("/metrics")

    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not SAMPLES.fullmatch(line)] == []


def test_shows_each_bucket(client):
    add(client)

    shown = samples(client)

    assert shown["spigot_server_up",] == 1
    assert shown["spigot_bucket_waiting_jobs", "default"] == 1
    assert shown["spigot_bucket_capacity_jobs", "default"] == 3
    assert shown["spigot_bucket_waiting_jobs", "narrow"] == 0
    assert shown["spigot_bucket_rate_configured", "narrow"] == 1
    assert shown["spigot_bucket_workers", "default"] == 0


def test_a_bound_that_is_not_set_has_no_sample(client, redis):
    redis.hset(keys.bucket("narrow"), "max_running", 2)

    shown = samples(client)

    assert ("spigot_bucket_max_running_jobs", "default") not in shown
    assert shown["spigot_bucket_max_running_jobs", "narrow"] == 2


def test_all_that_may_happen_to_a_job_type_is_shown_from_the_start(client):
    shown = samples(client)

    for event in (
        "enqueued", "started", "finished", "failed", "retried", "rate_limited", "abandoned",
        "reaped", "cancelled",
    ):  # fmt: skip
        assert shown[f"spigot_jobs_{event}_total", "default", "add"] == 0
        assert shown[f"spigot_jobs_{event}_total", "narrow", "shout"] == 0
    assert shown["spigot_jobs_refused_total", "default", "full", "add"] == 0
    assert ("spigot_jobs_started_total", "narrow", "add") not in shown


def test_what_is_counted_in_redis_is_shown(client, redis):
    for _ in range(4):
        add(client)
    redis.hincrby(keys.stats("default"), "retrying:gone", 7)  # a type that is no longer there
    redis.hset(
        keys.stats("default"),
        mapping={"late::500": 3, "late::inf": 1, "late::sum_us": 9_000_000},
    )

    shown = samples(client)

    assert shown["spigot_jobs_enqueued_total", "default", "add"] == 3
    assert shown["spigot_jobs_refused_total", "default", "full", "add"] == 1
    assert shown["spigot_jobs_retried_total", "default", "gone"] == 7
    assert shown["spigot_start_lateness_seconds_bucket", "default", "0.0005"] == 3
    assert shown["spigot_start_lateness_seconds_bucket", "default", "5"] == 3
    assert shown["spigot_start_lateness_seconds_bucket", "default", "+Inf"] == 4
    assert shown["spigot_start_lateness_seconds_count", "default"] == 4
    assert shown["spigot_start_lateness_seconds_sum", "default"] == 9


def test_decisions_of_the_door_are_counted_by_rule_and_outcome(limited):
    for _ in range(4):
        limited.get("/few")
    limited.get("/other")

    shown = samples(limited)

    assert shown["spigot_door_decisions_total", "admitted", "few"] == 2
    assert shown["spigot_door_decisions_total", "refused", "few"] == 1
    assert shown["spigot_door_decisions_total", "cached", "few"] == 1
    assert shown["spigot_door_decisions_total", "admitted", "default"] == 1
    assert shown["spigot_door_decision_seconds_count",] == 5


def test_all_outcomes_of_a_rule_are_shown_from_the_start(limited):
    shown = samples(limited)

    for outcome in ("admitted", "refused", "cached", "shadow", "failed_open", "failed_closed"):
        assert shown["spigot_door_decisions_total", outcome, "few"] == 0


def test_answers_are_counted_by_their_code(client):
    client.get("/buckets")
    client.get("/jobs/none")
    client.get("/broken")

    shown = samples(client)

    assert shown["spigot_http_responses_total", "200"] == 1
    assert shown["spigot_http_responses_total", "404"] == 1
    assert shown["spigot_http_responses_total", "500"] == 1


def test_only_what_is_being_served_is_under_way(client):
    for method, path in (("GET", "/buckets"), ("HEAD", "/buckets"), ("GET", "/broken")):
        client.open(path, method=method).close()

    assert samples(client)["spigot_http_requests_in_progress",] == 1  # this one


def test_no_client_and_no_job_is_named(limited):
    job = add(limited).json
    limited.get("/few", environ_base={"REMOTE_ADDR": "203.0.113.7"})

    text = limited.get("/metrics").text

    assert job["id"] not in text
    assert "203.0.113.7" not in text
    assert set(re.findall(r'([a-z_]+)="', text)) <= ALLOWED_LABELS


def test_figures_of_buckets_say_how_to_take_instances_together(client):
    families = text_string_to_metric_families(client.get("/metrics").text)

    for family in families:
        shared = family.name.startswith(("spigot_bucket_", "spigot_job", "spigot_start_"))
        assert ("max without(instance)" in family.documentation) == shared, family.name


def test_costs_one_round_trip_a_bucket_whatever_waits(redis, settings):
    client = create_app(settings()).test_client()
    add(client)
    client.get("/metrics")  # loads the script

    def cost() -> tuple[int, int]:
        redis.config_resetstat()
        with counted_round_trips() as sent:
            client.get("/metrics")
        stats = redis.info("commandstats")
        return len(sent), sum(v["calls"] for k, v in stats.items() if not k.startswith("cmdstat_c"))

    def least_cost() -> tuple[int, int]:
        """It may have to connect anew, and apps of earlier tests may ask the same server."""
        return min(cost() for _ in range(6))

    few = least_cost()
    redis.rpush(keys.queue("default"), *range(10_000))
    redis.zadd(keys.delayed("default"), {str(i): i for i in range(1000)})

    assert least_cost() == few
    assert few[0] == 3  # the names of the buckets, and one script for each of the two
    assert few[1] <= 60


def test_without_the_server_the_web_shows_what_is_its_own(settings):
    with own_server() as server:
        client = create_app(settings(redis_url=server.url)).test_client()
        client.get("/buckets")
        server.kill()
        client.get("/other")

        shown = samples(client)

    assert shown["spigot_server_up",] == 0
    assert not [name for name, *_ in shown if name.startswith(("spigot_bucket", "spigot_jobs"))]
    assert shown["spigot_http_responses_total", "404"] == 1


def test_a_server_that_hangs_does_not_hang_a_scrape(settings):
    with own_server() as server:
        client = create_app(settings(redis_url=server.url)).test_client()
        server.hang()

        with counted_round_trips() as sent:
            shown = samples(client)

        assert shown["spigot_server_up",] == 0
        assert len(sent) == 1
        server.go_on()


def test_registering_the_metrics_asks_the_server_nothing(redis: Redis, settings):
    create_app(settings())
    redis.config_resetstat()
    create_app(settings())

    assert "cmdstat_smembers" not in redis.info("commandstats")
