"""The present version goes on with what earlier versions left in Redis."""

import json
import re
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from redis import Redis

from tests.support.consistency import problems
from tests.support.fleet import ROOT, Fleet, Web
from tests.support.processes import wait_for
from tests.support.redis_keys_page import KEYS_OF_PAGE, PAGE_NAME

from .record import BUCKETS, CLIENT, KEY, LEASE_SECONDS, RULES, ask
from .recording import Recording, record

HERE = Path(__file__).parent
RECORDINGS = sorted(HERE.glob("*.jsonl"))
DELAYED, HELD, PAUSED = {"retried", "scheduled"}, {"refused", "held"}, {"cut off", "paused"}
LEASED = {"living", "dead"}

VALUES = {
    "living": 30, "dead": 31, "waiting high": 20, "waiting default": 21, "waiting low": 22,
    "waiting plain": 46, "deferred": 48, "scheduled": 50, "retried": 3, "child": 12,
    "refused": 8, "held": 9, "cut off": 10, "paused": 11, "finished": 1, "unlogged": 7,
}  # fmt: skip
"""What the jobs return in the end."""


@pytest.fixture(params=RECORDINGS, ids=lambda path: path.stem)
def recording(request) -> Recording:
    return Recording.read(request.param)


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """Processes with the files and settings that the recording was made with."""
    fleet.settings |= {
        "PYTHONPATH": f"{ROOT}:{HERE}",
        "SPIGOT_APPS": "recorded_jobs",
        "SPIGOT_LEASE_SECONDS": str(LEASE_SECONDS),
        "SPIGOT_TRUSTED_PROXIES": "127.0.0.1/32",
    }
    (fleet.folder / "buckets.json").write_text(json.dumps(BUCKETS))
    (fleet.folder / "rate_limits.json").write_text(json.dumps(RULES))
    return fleet


class Reader:
    """Looks at the recorded jobs as a client does."""

    def __init__(self, recording: Recording, web: Web) -> None:
        self.jobs = recording.jobs
        self._address = f"{web.host}:{web.port}"

    def ask(self, method: str, path: str, body=None, client: str = CLIENT, **headers: str):
        return ask(self._address, method, path, body, client, **headers)

    def job(self, name: str) -> dict:
        status, job = self.ask("GET", f"/jobs/{self.jobs[name]}")
        assert status == 200, (name, job)
        return job

    def bucket(self, name: str) -> dict:
        return self.ask("GET", f"/buckets/{name}")[1]

    def statuses(self, names) -> dict[str, str]:
        return {name: self.job(name)["status"] for name in names}

    def end(self, name: str) -> dict:
        """Return the job once it has ended."""
        status, job = self.ask("GET", f"/jobs/{self.jobs[name]}?wait=60")
        assert status == 200, (name, job)
        return job

    def assert_finished(self, names) -> None:
        for name in names:
            job = self.end(name)
            assert (job["status"], job["result"]) == ("finished", VALUES[name]), (name, job)


@contextmanager
def reader(fleet: Fleet, recording: Recording):
    with fleet.web() as web:
        yield Reader(recording, web)


def test_there_are_recordings():
    assert RECORDINGS


def test_a_recording_that_is_played_in_and_recorded_again_is_the_same(redis, recording):
    redis.flushall()  # a worker of the test before may have written while it ended
    recording.play(redis)

    again = record(redis, hide=str)

    assert len(again) == len(recording.commands)
    for before, after in zip(recording.commands, again, strict=True):
        assert unmarked(before) == unmarked(after)


def unmarked(command):
    return re.sub(r"\{(us|ms|s|utc|slot):[^}]*\}", r"{\1}", json.dumps(command))


def test_every_recorded_key_has_its_row_in_the_page(recording):
    patterns = [re.sub("[A-Z]+", ".+", re.escape(key)) for key in KEYS_OF_PAGE]
    by_rq = {"rq:workers"}

    for command in recording.commands:
        key = command[1]
        known = any(re.fullmatch(pattern, key) for pattern in patterns)
        assert known or re.match("rq:workers", key) or key in by_rq, f"{PAGE_NAME} lacks {key}"


@pytest.mark.slow
def test_a_hold_a_pause_a_delay_and_a_lease_are_obeyed(redis, recording, fleet):
    redis.flushall()  # a worker of the test before may have written while it ended
    recording.play(redis)
    played_at = time.time()
    with reader(fleet, recording) as jobs, fleet.run("worker", "--count", "2"):
        jobs.assert_finished(VALUES.keys() - DELAYED - PAUSED - HELD)
        assert jobs.end("stopping")["status"] == "cancelled"
        assert set(jobs.statuses(DELAYED).values()) == {"delayed"}
        assert set(jobs.statuses(HELD | PAUSED).values()) == {"queued"}
        for name in LEASED:
            assert started_at(jobs, name) >= played_at, name
            assert jobs.job(name)["attempts"] == 2, name


@pytest.mark.slow
def test_every_job_of_a_recording_ends(redis, recording, fleet):
    """Played in so late that what was delayed for an hour is due in some seconds."""
    redis.flushall()  # a worker of the test before may have written while it ended
    recording.play(redis, age=seconds_of_hold(recording) - 10)
    assert fleet.spigot("bucket", "release", "held").returncode == 0
    with reader(fleet, recording) as jobs, fleet.run("worker", "--count", "1"):
        jobs.assert_finished(VALUES.keys() - PAUSED)

        fleet.spigot("bucket", "resume", "paused")
        jobs.assert_finished(PAUSED)
        requeued = fleet.spigot("job", "requeue", jobs.jobs["failed"])
        assert requeued.returncode == 0, requeued.stderr
        assert jobs.end("failed")["status"] == "finished"
        assert_the_log_is_whole(fleet, recording)
    assert_the_books_balance(redis, recording)


def seconds_of_hold(recording: Recording) -> float:
    """Return how long the hold went on when the recording was made."""
    held_until = next(command[3] for command in recording.commands if "held_until_us" in command)
    return int(re.fullmatch(r"\{us:\+(\d+)\}", held_until)[1]) / 1_000_000


def started_at(jobs: Reader, name: str) -> float:
    return datetime.fromisoformat(jobs.job(name)["started_at"]).timestamp()


def assert_the_books_balance(redis: Redis, recording: Recording) -> None:
    for bucket in BUCKETS:
        accepted = [i for i in recording.jobs.values() if bucket_of(redis, i) == bucket]
        assert not list(problems(redis, bucket, accepted))


def bucket_of(redis: Redis, job_id: str) -> str:
    return redis.hget(f"rq:job:{job_id}", "origin").decode().split("-")[0]


def assert_the_log_is_whole(fleet: Fleet, recording: Recording) -> None:
    """Each job that ended since, or whose line nobody had written, has its line."""
    had_a_line_before = {"finished"}
    wait_for(lambda: recording.jobs.keys() - had_a_line_before <= logged(fleet, recording))


def logged(fleet: Fleet, recording: Recording) -> set[str]:
    ids = {line["id"] for line in fleet.log()}
    return {name for name, job_id in recording.jobs.items() if job_id in ids}


@pytest.mark.slow
def test_clients_and_operators_find_what_a_recording_left(redis, recording, fleet):
    redis.flushall()  # a worker of the test before may have written while it ended
    recording.play(redis)
    with reader(fleet, recording) as jobs:
        assert jobs.statuses(jobs.jobs) == {
            "finished": "finished", "parent": "finished", "unlogged": "finished",
            "failed": "failed", "cancelled": "cancelled",
            "retried": "delayed", "scheduled": "delayed", "deferred": "delayed", "child": "delayed",
            "living": "started", "dead": "started", "stopping": "started",
            **dict.fromkeys(
                ["waiting high", "waiting default", "waiting low", "waiting plain",
                 "refused", "held", "cut off", "paused"],
                "queued",
            ),
        }  # fmt: skip
        assert jobs.job("finished")["result"] == 1
        assert jobs.job("failed")["error"] == "ValueError: broken"
        assert jobs.job("living")["progress"] == {"done": 1, "total": 2, "note": "napping"}
        assert_the_idempotency_key_is_known(jobs)
        assert_the_operators_words_count(jobs, fleet)
        assert_the_door_remembers(jobs, fleet)


def assert_the_idempotency_key_is_known(jobs: Reader) -> None:
    body = {"type": "echo", "payload": {"value": 1}}
    status, job = jobs.ask("POST", "/jobs", body, Idempotency_Key=KEY)
    assert (status, job["id"]) == (200, jobs.jobs["finished"])
    other = {"type": "echo", "payload": {"value": 2}}
    assert jobs.ask("POST", "/jobs", other, Idempotency_Key=KEY)[0] == 409


def assert_the_operators_words_count(jobs: Reader, fleet: Fleet) -> None:
    bucket = jobs.bucket("default")
    assert (bucket["rate"], bucket["capacity"], bucket["max_running"]) == ("40/s burst 2", 90, 20)
    assert jobs.bucket("held")["capacity"] == 1000
    assert jobs.bucket("held")["held_until"]
    assert jobs.bucket("paused")["paused"]
    fleet.spigot("bucket", "reset", "default")
    bucket = jobs.bucket("default")
    assert (bucket["rate"], bucket["capacity"], bucket["max_running"]) == ("50/s", 100, None)


def assert_the_door_remembers(jobs: Reader, fleet: Fleet) -> None:
    top = fleet.spigot("limits", "top", "--json").stdout
    assert all(f'"{word}"' in top for word in ("few", "slow", CLIENT)), top
    assert jobs.ask("GET", "/buckets/few")[0] == 429
    assert jobs.ask("GET", "/buckets/slow")[0] == 429
    assert jobs.ask("GET", "/buckets", client="203.0.113.66")[0] == 429
    assert jobs.ask("GET", "/buckets/few", client="203.0.113.7")[0] == 404
