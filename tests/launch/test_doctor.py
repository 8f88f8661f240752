import json
import os

import pytest
from click.testing import CliRunner

from spigot.jobs.bucket.config import load_bucket_configs
from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import keys
from spigot.launch.admin_password import make_password
from spigot.launch.doctor import doctor, examine
from spigot.launch.exposure_check import check_exposure
from spigot.launch.file_checks import check_rate_limits, check_result_log
from spigot.launch.server_checks import check_server_state
from spigot.runtime.server.server_url import ServerUrlFile
from spigot.runtime.settings import Settings

HEALTHY = {
    "redis_version": "7.2.4",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
}
IN_A_MINUTE_MS = 60_000


@pytest.fixture
def settings(tmp_path, redis_url):
    """A place where everything is as it should be, but for the test server's missing files."""
    (tmp_path / "rate_limits.json").write_text("{}")
    (tmp_path / "buckets.json").write_text('{"default": {}, "slow": {}}')
    return Settings(
        _env_file=None,
        redis_url=redis_url,
        data_dir=tmp_path / "data",
        rate_limits=tmp_path / "rate_limits.json",
        buckets=tmp_path / "buckets.json",
        apps=(),
    )


def wrong(settings, check):
    return [f.detail for f in examine(settings) if f.check == check and not f.ok]


def test_counts_the_workers_that_are_alive(settings, redis):
    sign_on(redis, "default", IN_A_MINUTE_MS, IN_A_MINUTE_MS, -1)
    sign_on(redis, "slow", IN_A_MINUTE_MS)

    details = [f.detail for f in examine(settings) if f.check == "workers"]

    assert details == [
        "bucket default: 2 alive, 0 jobs wait",
        "bucket slow: 1 alive, 0 jobs wait",
    ]
    assert not wrong(settings, "workers")


def test_a_bucket_in_use_without_workers_is_wrong(settings, redis):
    sign_on(redis, "default", IN_A_MINUTE_MS)
    sign_on(redis, "slow", -1)

    assert wrong(settings, "workers") == ["bucket slow: 0 alive, 0 jobs wait"]


def test_a_bucket_out_of_use_needs_workers_only_while_jobs_wait(settings, redis):
    sign_on(redis, "default", IN_A_MINUTE_MS)
    sign_on(redis, "slow", IN_A_MINUTE_MS)
    redis.sadd(keys.buckets(), "old")
    assert not wrong(settings, "workers")

    redis.rpush(keys.queue("old-low"), "job-1")

    assert wrong(settings, "workers") == ["bucket old: 0 alive, 1 job waits"]


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        ("redis_version", "6.0.16", "Redis 6.0.16 is too old"),
        ("role", "slave", "it is a replica"),
        ("maxmemory_policy", "allkeys-lru", "drops keys, and jobs with them (allkeys-lru)"),
        ("aof_enabled", 0, "it forgets accepted jobs when it restarts"),
        ("aof_last_write_status", "err", "it cannot write its files"),
    ],
)
def test_a_server_that_could_lose_jobs_is_wrong(field, value, detail):
    (finding,) = check_server_state({**HEALTHY, field: value})

    assert detail in finding.detail
    assert finding.mend


def test_a_managed_server_need_not_tell_everything():
    assert check_server_state({"redis_version": "6.2.0"}) == []


def test_asks_the_server_itself(settings):
    details = [(f.ok, f.detail) for f in examine(settings) if f.check == "server"]

    (reachable, name), *others = details
    assert reachable
    assert name.endswith(f" at {settings.redis_url}")
    assert others == [(False, "it forgets accepted jobs when it restarts")]


def test_a_server_that_does_not_answer_is_wrong_and_its_password_hidden(settings):
    away = settings.model_copy(update={"redis_url": "redis://:secret@127.0.0.1:1"})

    (detail,) = wrong(away, "server")

    assert detail.startswith("redis://***@127.0.0.1:1 does not answer: ")


def test_no_server_is_wrong(settings):
    nowhere = settings.model_copy(update={"redis_url": None})

    assert "set REDIS_URL, or run `spigot up`" in wrong(nowhere, "server")[0]


def test_finds_the_server_of_spigot_up(settings, redis_url):
    with ServerUrlFile(settings.data_dir) as file:
        file.publish(redis_url)

        assert examine(settings.model_copy(update={"redis_url": None})) == examine(settings)


def test_looks_at_the_doors_own_server(settings):
    apart = settings.model_copy(update={"limits_redis_url": "redis://127.0.0.1:1"})

    assert "redis://127.0.0.1:1 does not answer" in wrong(apart, "server of the door")[0]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"default": {"capacity": 0}}'])
def test_rules_that_cannot_be_used_are_wrong(tmp_path, content):
    path = tmp_path / "rate_limits.json"
    if content is not None:
        path.write_text(content)

    assert not check_rate_limits(Settings(_env_file=None, rate_limits=path)).ok


def test_broken_buckets_are_wrong(settings):
    settings.buckets.write_text('{"default": {"rate": "fast"}}')

    assert "rate" in wrong(settings, "buckets")[0]


def test_an_app_that_cannot_be_imported_is_wrong(settings):
    missing = settings.model_copy(update={"apps": ("no_such_app",)})

    assert "no_such_app" in wrong(missing, "job types")[0]


def test_a_result_log_yet_to_be_made_is_fine_and_not_made(tmp_path):
    assert check_result_log(tmp_path / "data" / "results.jsonl").ok
    assert not (tmp_path / "data").exists()


def test_an_existing_result_log_is_not_touched(tmp_path):
    (tmp_path / "results.jsonl").write_text("{}\n")

    assert check_result_log(tmp_path / "results.jsonl").ok
    assert (tmp_path / "results.jsonl").read_text() == "{}\n"


def test_a_result_log_that_cannot_be_written_is_wrong(tmp_path):
    (tmp_path / "file").touch()

    assert not check_result_log(tmp_path).ok
    assert not check_result_log(tmp_path / "file" / "results.jsonl").ok
    os.mkfifo(tmp_path / "pipe")
    assert not check_result_log(tmp_path / "pipe").ok


def test_a_full_disk_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr("spigot.launch.file_checks.LOW_DISK_BYTES", 10**18)

    assert "MB free on its disk" in check_result_log(tmp_path / "results.jsonl").detail


def test_says_what_to_mend_and_exits_with_1(settings, monkeypatch):
    monkeypatch.setattr("spigot.launch.doctor.load_settings", lambda: settings)

    result = CliRunner().invoke(doctor)

    assert result.exit_code == 1
    assert "ok     buckets: " in result.output
    assert (
        "WRONG  workers: bucket slow: 0 alive, 0 jobs wait\n"
        "       run `spigot worker slow`\n" in result.output
    )


def test_prints_json(settings, monkeypatch):
    monkeypatch.setattr("spigot.launch.doctor.load_settings", lambda: settings)

    result = CliRunner().invoke(doctor, ["--json"])

    document = json.loads(result.output)
    assert document["ok"] is False
    assert {
        "check": "result log",
        "ok": True,
        "detail": str(settings.result_log_path),
        "mend": "",
    } in (document["checks"])


def test_files_that_nobody_named_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    [limits, buckets] = [
        f
        for f in examine(Settings(_env_file=None, apps=()))
        if f.check in ("rate limits", "buckets")
    ]

    assert (limits.ok, buckets.ok) == (True, True)
    assert limits.detail == "rate_limits.json (not there: as if it were {}): no rules"
    assert buckets.detail == "buckets.json (not there: as if it were {}): default"


def test_a_file_that_was_named_must_be_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        _env_file=None, apps=(), rate_limits="rate_limits.json", buckets="buckets.json"
    )

    assert "cannot be read" in wrong(settings, "rate limits")[0]
    assert wrong(settings, "buckets") == ["buckets.json cannot be read: No such file or directory"]


def test_says_how_job_types_are_named_when_there_are_none(settings):
    [detail] = [f.detail for f in examine(settings) if f.check == "job types"]

    assert detail.startswith("none: name a module with job types in SPIGOT_APPS")


def test_exits_with_0_when_all_is_well(settings, monkeypatch):
    monkeypatch.setattr("spigot.launch.doctor.load_settings", lambda: settings)
    monkeypatch.setattr("spigot.launch.doctor.check_servers", lambda *_: [])

    assert CliRunner().invoke(doctor).exit_code == 0


def sign_on(redis, bucket, *alive_for_ms):
    """Note workers of ``bucket`` as alive for that long from now."""
    seconds, microseconds = redis.time()
    now_ms = seconds * 1000 + microseconds // 1000
    until = {f"worker-{n}": now_ms + ms for n, ms in enumerate(alive_for_ms)}
    redis.zadd(keys.workers(bucket), until)


def test_jobs_that_are_missing_are_wrong_and_those_brought_back_are_told(settings, redis):
    (finding,) = [f for f in examine(settings) if f.check == "lost jobs"]
    assert finding.ok
    assert finding.detail.startswith("0 jobs are missing, 0 were brought back so far; no worker")

    redis.zadd(keys.missing(), {'["default","a"]': 1})
    redis.hset(keys.sought(), "b", '["default","b"]')
    redis.sadd(keys.buckets(), "default")
    redis.hset(keys.stats("default"), mapping={"brought_back:rq": 2, "brought_back:note": 1})
    redis.hset(keys.sweep(), "begun_ms", redis.time()[0] * 1000 - 30_000)

    (detail,) = wrong(settings, "lost jobs")
    assert detail.startswith("2 jobs are missing, 3 were brought back so far; workers began")


def test_fits_the_terminal(settings, monkeypatch):
    settings.rate_limits.write_text(json.dumps({f"rule-{number}": 5 for number in range(30)}))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("spigot.launch.doctor.load_settings", lambda: settings)

    lines = CliRunner().invoke(doctor).output.splitlines()

    assert max(map(len, lines)) <= 80
    assert {line[:7] for line in lines} == {"ok     ", "WRONG  ", "       "}


def test_another_file_that_was_read_last_is_told_with_both_numbers(settings, redis):
    def write(**numbers):
        settings.buckets.write_text(json.dumps({"slow": numbers}))
        return load_bucket_configs(settings.buckets)

    publisher = BucketPublisher(redis)
    publisher.publish(write(rate="1/s", max_running=4))
    assert not wrong(settings, "buckets")
    BucketControl(redis, by="ada").set("slow", BucketChange(rate="9/s"))
    assert not wrong(settings, "buckets")

    write(rate="5/s", capacity=7, max_running=4)

    place = settings.buckets
    assert wrong(settings, "buckets") == [
        f"bucket slow: rate is 5/s in {place}, and 1/s in the file that was read last",
        f"bucket slow: capacity is 7 in {place}, and not stated in the file that was read last",
    ]


def test_a_bucket_that_nobody_published_is_not_compared(settings):
    settings.buckets.write_text('{"new": {"rate": "5/s"}}')

    assert not wrong(settings, "buckets")


@pytest.mark.parametrize(
    ("host", "proxies", "password", "ok"),
    [
        ("0.0.0.0", "", "secret", False),
        ("192.0.2.7", "", "secret", False),
        ("::", "", "secret", False),
        ("shop.example", "", "secret", False),
        ("0.0.0.0", "10.0.0.0/8", "secret", True),
        ("0.0.0.0", "", None, True),
        ("127.0.0.1", "", "secret", True),
        ("127.0.0.53", "", "secret", True),
        ("::1", "", "secret", True),
        ("localhost", "", "secret", True),
    ],
)
def test_a_password_that_crosses_a_network_in_plain_http_is_wrong(
    settings, host, proxies, password, ok
):
    changes = {"host": host, "trusted_proxies": proxies, "admin_password": password}

    found = check_exposure(Settings(_env_file=None, **settings.model_dump() | changes))

    assert found.ok is ok, found
    assert "secret" not in found.detail
    assert bool(found.mend) is not ok


@pytest.mark.parametrize(("host", "ok"), [("0.0.0.0", False), ("127.0.0.1", True)])
def test_a_password_that_was_made_up_counts_as_one_that_is_set(settings, tmp_path, host, ok):
    password = make_password(tmp_path)
    changes = {"host": host, "admin_password": None, "redis_url": None, "data_dir": tmp_path}

    found = check_exposure(Settings(_env_file=None, **settings.model_dump() | changes))

    assert found.ok is ok, found
    assert "nobody can log in" not in found.detail
    assert password not in found.detail


def test_a_made_up_password_that_cannot_be_read_is_wrong(settings, tmp_path):
    (tmp_path / "admin-password").write_bytes(b"\xff")
    changes = {"admin_password": None, "redis_url": None, "data_dir": tmp_path}

    found = check_exposure(Settings(_env_file=None, **settings.model_dump() | changes))

    assert not found.ok
    assert "admin-password cannot be used: it is no text; delete it" in found.detail
