"""A stranger's value in the place of a key that a bucket needs: it is moved, and all goes on."""

import json

import pytest

from spigot import create_app
from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import keys
from spigot.launch.key_checks import check_keys
from spigot.runtime.rate import Rate
from spigot.runtime.settings import load_settings
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.lease_batch import LeaseBatch
from tests.support.clocked_bucket import ClockedBucket

NEEDED = [keys.bucket("default"), keys.leases("default"), keys.queue("default")]
NEEDED += [keys.queue("default-high"), keys.queue("default-low")]
ROUTES = ["/", "/buckets", "/buckets/default", "/api/status", "/metrics", "/readyz"]


@pytest.fixture
def client(redis_url, tmp_path):
    (tmp_path / "buckets.json").write_text(json.dumps({"default": {"rate": "10/s"}}))
    settings = load_settings(
        redis_url=redis_url,
        apps=("tests.support.minimal_app",),
        buckets=tmp_path / "buckets.json",
        data_dir=tmp_path,
    )
    return create_app(settings).test_client()


def spoil(redis, key):
    redis.delete(key)
    redis.set(key, "a stranger's")


@pytest.mark.parametrize("key", NEEDED)
def test_jobs_are_taken_in_and_run(redis, caplog, key):
    bucket = ClockedBucket(redis)
    bucket.enqueue("before")
    running = bucket.claim()
    spoil(redis, key)

    for priority in ("high", "default", "low"):
        bucket.enqueue(f"after-{priority}", priority=priority)
    bucket.finish(running)
    for _ in range(3):
        bucket.sleep(1)
        bucket.finish(bucket.claim())

    ended = ["before", "after-high", "after-default", "after-low"]
    assert [bucket.status(job_id) for job_id in ended] == ["finished"] * 4
    assert redis.get(keys.aside(key)) == b"a stranger's"
    assert f"{key} held something else, which is at {keys.aside(key)} now" in caplog.text
    assert caplog.text.count("held something else") == 1


@pytest.mark.parametrize("key", NEEDED)
def test_several_jobs_at_a_time_are_claimed_and_ended(redis, key):
    bucket = ClockedBucket(redis, "1000/s")
    for number in range(4):
        bucket.enqueue(f"job-{number}")
    first = bucket.bucket.claim_several("worker-1", ["a", "b"], lease_ms=15_000)
    spoil(redis, key)
    bucket.enqueue("after")

    batch = LeaseBatch(bucket.leases)
    for claim in first:
        batch.complete(AttemptReport(claim.token, "work"), "finished", now_us=bucket.now_us)
    spoil(redis, key)
    batch.write()
    bucket.enqueue("last")
    spoil(redis, keys.leases("default"))
    more = bucket.bucket.claim_several("worker-1", ["c", "d"], lease_ms=15_000)

    assert [bucket.status(claim.job_id) for claim in first] == ["finished", "finished"]
    assert isinstance(more[0], Claim)


@pytest.mark.parametrize("key", NEEDED)
def test_pages_and_api_go_on(client, redis, key):
    client.post("/jobs", json={"type": "add", "payload": {"x": 1}})
    spoil(redis, key)

    codes = {path: client.get(path).status_code for path in ROUTES}
    posted = client.post("/jobs", json={"type": "add", "payload": {"x": 1}})

    assert codes == dict.fromkeys(ROUTES, 200)
    assert posted.status_code == 202
    assert client.get("/buckets/default").json["rate"] == "10/s"


def test_a_bucket_that_nobody_published_yet_is_published(redis):
    spoil(redis, keys.bucket("default"))

    BucketPublisher(redis).publish({"default": BucketConfig(rate=Rate.parse("2/s"))})

    assert redis.type(keys.bucket("default")) == b"hash"


def test_doctor_names_what_was_set_aside(redis):
    bucket = ClockedBucket(redis)
    spoil(redis, keys.leases("default"))
    bucket.enqueue("one")
    bucket.claim()

    details = [finding.detail for finding in check_keys(redis)]

    leases = keys.leases("default")
    assert details == [f"{keys.aside(leases)} holds what somebody wrote to {leases}"]
