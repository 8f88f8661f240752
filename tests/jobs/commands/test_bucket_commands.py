import getpass
import json
from socket import gethostname

import pytest

from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import keys
from tests.support.command_line import run_spigot
from tests.support.minimal_app import NUMBERS
from tests.support.redis_content import content

FAR_FUTURE_US = 4_000_000_000 * 1_000_000


@pytest.fixture(autouse=True)
def published(program_environment, redis):
    BucketPublisher(redis).publish(NUMBERS)


def run(*arguments):
    return run_spigot("bucket", *arguments)


def test_list_shows_a_line_for_each_bucket():
    head, default, narrow = run("list").stdout.splitlines()

    assert head.split() == [
        "BUCKET",
        "RATE",
        "WAITING",
        "CAPACITY",
        "DELAYED",
        "RUNNING",
        "WORKERS",
        "AT",
        "ONCE",
        "STATE",
    ]
    assert default.split() == ["default", "10/s", "0", "3", "0", "0", "0", "0", "open"]
    assert narrow.split() == ["narrow", "60/m", "burst", "3", "0", "2", "0", "0", "0", "0", "open"]
    assert head.index("WAITING") == narrow.index("0  ", narrow.index("burst 3") + 7)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"paused": 1, "draining": 1, "held_until_us": FAR_FUTURE_US}, "paused"),
        ({"draining": 1}, "draining"),
        ({"held_until_us": FAR_FUTURE_US}, "held, goes on in "),
        ({"held_until_us": 1, "hold_kind": "quota"}, "open"),
        (
            {"held_until_us": FAR_FUTURE_US, "hold_kind": "quota"},
            "quota spent: held, goes on in ",
        ),
        ({"probing": 1, "hold_kind": "quota"}, "quota spent: asks with one job at a time"),
        ({"probing": 1, "hold_kind": "wait"}, "asks with one job at a time"),
    ],
)
def test_list_shows_the_state(redis, fields, state):
    redis.hset(keys.bucket("default"), mapping=fields)

    assert f"  {state}" in run("list").stdout.splitlines()[1]


@pytest.mark.parametrize("key", [keys.leases("default"), keys.delayed("default")])
def test_list_says_where_jobs_have_no_worker(redis, key):
    redis.zadd(key, {"one": FAR_FUTURE_US})

    assert run("list").stdout.splitlines()[1].endswith("  no worker")
    assert run("show", "default").stdout.splitlines()[1].split(maxsplit=1) == ["state", "no worker"]


def test_list_says_where_new_jobs_are_refused(redis):
    redis.rpush(keys.queue("default"), "a", "b", "c")
    redis.zadd(keys.workers("default"), {"work": FAR_FUTURE_US})

    assert run("list").stdout.splitlines()[1].endswith("  full")


def test_list_says_what_stops_a_bucket_that_is_full(redis):
    redis.rpush(keys.queue("default"), "a", "b", "c")
    redis.zadd(keys.workers("default"), {"work": FAR_FUTURE_US})
    run("pause", "default")

    assert run("list").stdout.splitlines()[1].endswith("  paused; full")


def test_list_prints_what_the_api_answers():
    printed = json.loads(run("list", "--json").stdout)

    assert [bucket["name"] for bucket in printed["buckets"]] == ["default", "narrow"]
    assert printed["buckets"][1]["interval"] == 1


def test_list_of_an_empty_server_is_empty(redis):
    redis.flushall()

    assert len(run("list").stdout.splitlines()) == 1
    assert json.loads(run("list", "--json").stdout) == {"buckets": []}
    assert content(redis) == {}


def test_show_prints_a_line_for_each_field_and_who_set_it(redis):
    redis.hdel(keys.bucket("default"), "file_capacity")
    run("pause", "default")

    lines = [line.split(maxsplit=1) for line in run("show", "default").stdout.splitlines()]

    assert ["rate", "10/s  (buckets.json)"] in lines
    assert ["capacity", "3  (default: buckets.json is silent)"] in lines
    assert ["paused", "yes  (set by an operator)"] in lines
    assert ["draining", "no"] in lines
    assert ["burst", "1"] in lines


def test_show_ends_with_the_last_changes():
    for number in range(1, 13):
        run("capacity", "narrow", str(10 + number))

    lines = run("show", "narrow").stdout.splitlines()[-10:]

    assert lines[0].endswith(f"{getpass.getuser()}@{gethostname()}: capacity 21 → 22")
    assert lines[9].endswith("capacity 12 → 13")


def test_show_prints_json():
    run("capacity", "narrow", "11")

    printed = json.loads(run("show", "narrow", "--json").stdout)

    assert printed["rate"] == "60/m burst 3"
    assert printed["sources"]["capacity"] == "operator"
    assert printed["changes"][0]["changes"] == {"capacity": ["2", "11"]}


def test_check_says_that_a_file_can_be_used(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"mail": {"rate": "5/s"}}')

    assert run("check", str(path)).stdout == f"{path}: 2 buckets can be used: default, mail\n"
    assert json.loads(run("check", str(path), "--json").stdout)["buckets"] == ["default", "mail"]

    path.write_text("{}")
    assert run("check", str(path)).stdout == f"{path}: 1 bucket can be used: default\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("{", "Invalid JSON"),
        ('{"a": {"capcity": 5}}', "a capcity: there is no such field; did you mean capacity?"),
        ('{"a": {"limit": 5, "window": 60}}', "this looks like rate_limits.json"),
    ],
)
def test_check_says_in_one_line_what_cannot_be_used(tmp_path, text, said):
    path = tmp_path / "other.json"
    if text is not None:
        path.write_text(text)

    result = run("check", str(path), "--json")

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert str(path) in result.stderr
    assert said in result.stderr


def test_the_list_fits_the_terminal(redis, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    redis.hset(
        keys.bucket("narrow"), mapping={"held_until_us": FAR_FUTURE_US, "hold_kind": "quota"}
    )

    assert max(map(len, run("list").stdout.splitlines())) <= 80


def test_a_bucket_that_does_not_exist_fails_in_one_line():
    result = run("show", "other")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == ("Error: there is no bucket 'other'; `spigot bucket list` shows all\n")


@pytest.mark.parametrize("arguments", [("list",), ("show", "default")])
def test_a_server_that_is_away_fails_in_one_line(monkeypatch, arguments):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")

    result = run(*arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: the server does not answer: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        "list", "show", "rate", "capacity", "max-running", "pause", "resume", "release", "drain",
        "purge", "reset",
    ],
)  # fmt: skip
def test_help_shows_an_example(command):
    assert f"spigot bucket {command}" in run(command, "--help").stdout.partition("Example:")[2]
