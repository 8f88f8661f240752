"""Values that only a stranger can have written: none stops a bucket, a page, a route, a command."""

import json
import math

import pytest
from click.testing import CliRunner

from spigot import create_app
from spigot.__main__ import cli
from spigot.jobs.store import keys
from spigot.runtime.settings import load_settings
from spigot.webapp.door.rate_limits import keys as door_keys
from spigot.webapp.door.rate_limits.refusal_counts import PERIOD_SECONDS
from tests.support.clocked_bucket import ClockedBucket

NO_TEXT = b"\xff\xfe"
QUEUE = "default"
ADMIN = ("admin", "secret")
ROUTES = ["/", "/buckets", "/buckets/default", "/api/status", "/metrics", "/livez", "/jobs/good"]
PLACES = ["queued", "started", "finished", "failed", "canceled", "scheduled", "deferred"]
DASHBOARD = ["queues.json", *(f"jobs/default/{place}/8/asc/1.json" for place in PLACES)]
ADMIN_ROUTES = ["/api/activity", "/rq/", *(f"/rq/0/data/{path}" for path in DASHBOARD)]
COMMANDS = [
    ["bucket", "list"],
    ["bucket", "show", "default"],
    ["job", "list"],
    ["job", "failures"],
    ["job", "show", "good"],
    ["limits", "bans"],
    ["limits", "top"],
]

SETS = [keys.buckets(), "rq:queues", keys.dependents(QUEUE)]
SORTED = [
    keys.delayed(QUEUE),
    keys.leases(QUEUE),
    keys.pollers(QUEUE),
    keys.workers(QUEUE),
    *(f"rq:{name}:{QUEUE}" for name in ("wip", "finished", "failed", "canceled", "scheduled")),
    f"rq:deferred:{QUEUE}",
    door_keys.bans(),
]
LISTS = [keys.queue(QUEUE), keys.changes(QUEUE), keys.wake_up(QUEUE), keys.standby_wake_up(QUEUE)]
HASHES = [keys.unlogged(QUEUE), keys.stats(QUEUE), keys.lease("odd"), "rq:worker:worker-1"]
SET_ASIDE = {keys.queue(QUEUE), keys.leases(QUEUE)}
"""What lies there is moved: ``tests/jobs/store/test_setting_aside.py``."""

NUMBERS = ["interval_us", "burst", "capacity", "max_running", "held_until_us", "last_slot_us"]
NUMBERS += ["ahead_us", "paced_us", "mean_run_us", "heard_us", "reaped_us", "alone_ms"]
NUMBERS += ["delayed_back_ms", "delayed_from_ms"]
NUMBERS += [f"head:{QUEUE}"]
NO_NUMBERS = ["abc", "nan", "1e30", "inf", "0", "-5", "", "1.5"]


def no_text(key, kind):
    def write(redis):
        match kind:
            case "set":
                redis.sadd(key, NO_TEXT)
            case "zset":
                redis.zadd(key, {NO_TEXT: 1, "a b:c": math.inf})
            case "list":
                redis.lpush(key, NO_TEXT)
            case "hash":
                redis.hset(key, NO_TEXT, NO_TEXT)

    return write


def another_type(key):
    def write(redis):
        redis.delete(key)
        redis.set(key, "somebody else's")

    return write


KINDS = {"set": SETS, "zset": SORTED, "list": LISTS, "hash": HASHES}
ODD = {
    f"no text in {key}": no_text(key, kind) for kind, group in KINDS.items() for key in group
} | {
    f"{key} of another type": another_type(key)
    for group in KINDS.values()
    for key in group
    if key not in SET_ASIDE
}
FULL = {("capacity", "0"), ("capacity", "-5")}
ODD_NUMBERS = {
    f"{field} {value!r}": lambda redis, f=field, v=value: redis.hset(keys.bucket(QUEUE), f, v)
    for field in NUMBERS
    for value in NO_NUMBERS
    if (field, value) not in FULL
}
ODD |= {
    "a counter that is no number": lambda redis: redis.hset(
        keys.stats(QUEUE), mapping={"enqueued:work": "abc", "late::500": "x", "late::sum_us": "y"}
    ),
    "a line without its end": lambda redis: redis.hset(keys.unlogged(QUEUE), "t", "no line feed"),
    "a line that is no JSON": lambda redis: redis.hset(keys.unlogged(QUEUE), "t", "w\nno JSON"),
    "a lease without fields": lambda redis: redis.zadd(keys.leases(QUEUE), {"gone": 1}),
    "a lease of a job alone": lambda redis: (
        redis.zadd(keys.leases(QUEUE), {"odd": 1}),
        redis.hset(keys.lease("odd"), "job", "nobody"),
    ),
    "a job of another type": lambda redis: (
        redis.set("rq:job:text", "x"),
        redis.lpush(keys.queue(QUEUE), "text"),
        redis.zadd(keys.delayed(QUEUE), {"text": 1}),
    ),
    "results of another type": lambda redis: redis.set("rq:results:good", "x"),
    "refusals": lambda redis: redis.zadd(
        door_keys.refusals(redis.time()[0] // PERIOD_SECONDS), {NO_TEXT: 5}
    ),
    "refusals of another type": lambda redis: redis.set(
        door_keys.refusals(redis.time()[0] // PERIOD_SECONDS), "x"
    ),
}
SHOWN = ODD | {
    name: write for name, write in ODD_NUMBERS.items() if name.endswith(("'abc'", "'1e30'"))
}
"""For readers, who take each number for itself: each once, and then all at a time."""
SHOWN |= {
    f"all {value!r}": lambda redis, v=value: redis.hset(
        keys.bucket(QUEUE), mapping={f: v for f in NUMBERS if (f, v) not in FULL}
    )
    for value in NO_NUMBERS
}
GROUPS = len(SHOWN) // 3
TOGETHER = [list(SHOWN)[first::GROUPS] for first in range(GROUPS)]
"""Three or four at a time, in places that have nothing to do with each other."""


@pytest.fixture
def bucket(redis):
    bucket = ClockedBucket(redis, now_us=redis.time()[0] * 1_000_000)
    bucket.enqueue("good")
    return bucket


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    (folder / "buckets.json").write_text(json.dumps({"default": {"rate": "10/s"}}))
    (folder / "rate_limits.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def app(redis_url, folder):
    """One for all: it keeps nothing of what it has read."""
    settings = load_settings(
        redis_url=redis_url,
        apps=("tests.support.minimal_app",),
        buckets=folder / "buckets.json",
        rate_limits=folder / "rate_limits.json",
        data_dir=folder,
        admin_password="secret",
    )
    return create_app(settings)


@pytest.mark.parametrize("write", (ODD | ODD_NUMBERS).values(), ids=ODD | ODD_NUMBERS)
def test_stops_no_bucket(bucket, redis, write):
    write(redis)
    bucket.enqueue("later")
    ended = set()
    for _ in range(60):
        reaped = bucket.leases.reap(now_us=bucket.now_us)
        assert all(isinstance(fault, str) for fault in reaped.faults)
        answer = bucket.ask()
        if hasattr(answer, "job_id"):
            bucket.finish(answer)
            ended.add(answer.job_id)
        bucket.sleep(1)
        if ended >= {"good", "later"}:
            break

    assert ended >= {"good", "later"}
    assert bucket.status("good") == "finished"


@pytest.mark.parametrize("names", TOGETHER, ids=" and ".join)
def test_stops_no_page(bucket, redis, app, names):
    client = app.test_client()
    for name in names:
        SHOWN[name](redis)

    codes = {path: client.get(path).status_code for path in ROUTES}
    codes |= {path: client.get(path, auth=ADMIN).status_code for path in ADMIN_ROUTES}
    posted = client.post("/jobs", json={"type": "add", "payload": {"x": 1}})

    assert [path for path, code in codes.items() if code >= 500] == []
    assert posted.status_code == 202


@pytest.mark.slow
@pytest.mark.parametrize("names", TOGETHER, ids=" and ".join)
def test_stops_no_command(bucket, redis, redis_url, folder, monkeypatch, names):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("SPIGOT_APPS", "tests.support.minimal_app")
    for name in names:
        SHOWN[name](redis)

    for command in [*COMMANDS, ["doctor"]]:
        result = CliRunner().invoke(cli, command)
        assert result.exception is None or isinstance(result.exception, SystemExit), command
        assert command == ["doctor"] or result.exit_code == 0, (command, result.output)
