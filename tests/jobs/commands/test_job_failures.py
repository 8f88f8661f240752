import json
import re
from pathlib import Path

import pytest

import spigot
from spigot.jobs.job.failure_place import place_of
from spigot.jobs.job.failures import FailureIndex
from spigot.jobs.job.requeueing import JobRequeuer
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport
from tests.support.clocked_bucket import KEEP_SECONDS, ClockedBucket
from tests.support.command_line import run_spigot
from tests.support.round_trips import counted_round_trips

PACKAGE = Path(spigot.__file__).parent
EXAMPLES = PACKAGE / "examples"
TRACE = """Traceback (most recent call last):
  File "/srv/shop/{file}.py", line {line}, in charge
    ask()
  File "/srv/.venv/lib/python3.11/site-packages/httpx/_api.py", line 99, in get
    raise {error}
{error}
"""


@pytest.fixture(autouse=True)
def program(program_environment):
    """These commands run as they would beside the sample application."""


def run(*arguments):
    return run_spigot("job", "failures", *arguments)


def read(*arguments):
    return json.loads(run("--json", *arguments).stdout)


def fail(bucket: ClockedBucket, job_id: str, error: str, line: int = 7, file: str = "pay") -> None:
    bucket.enqueue(job_id)
    trace = TRACE.format(file=file, line=line, error=error)
    report = AttemptReport(bucket.claim().token, "work", error=error, trace=trace)
    bucket.leases.complete(report, "failed", now_us=bucket.now_us)


@pytest.fixture
def failed(bucket):
    fail(bucket, "a", "TimeoutError: after 3 s")
    fail(bucket, "b", "KeyError: 'x'")
    fail(bucket, "c", "TimeoutError: after 5 s")
    fail(bucket, "d", "KeyError: 'x'", line=8)
    bucket.enqueue("waiting")
    return bucket


def test_groups_by_error_and_place(failed):
    shown = read()

    assert [(group["error"], group["place"], group["count"]) for group in shown["failures"]] == [
        ("KeyError", "/srv/shop/pay.py:8 in charge", 1),
        ("TimeoutError", "/srv/shop/pay.py:7 in charge", 2),
        ("KeyError", "/srv/shop/pay.py:7 in charge", 1),
    ]
    assert {group["bucket"] for group in shown["failures"]} == {"default"}
    ids = {group["id"] for group in shown["failures"]}
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", group_id) for group_id in ids)


def test_tells_the_first_and_the_last_and_shows_the_last(failed):
    group = read()["failures"][1]

    assert group["first_at"] < group["last_at"]
    assert (group["job"], group["types"]) == ("c", ["work"])
    assert group["message"] == "TimeoutError: after 5 s"
    assert group["traceback"].endswith("TimeoutError: after 5 s\n")


def test_prints_a_table_that_fits(failed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    result = run()

    head, *rows = result.stdout.splitlines()
    assert head.split() == ["COUNT", "FIRST", "LAST", "ERROR", "PLACE", "TYPE"]
    assert [row.split()[0] for row in rows] == ["1", "2", "1"]
    assert max(map(len, rows)) <= 80


def test_prints_tracebacks_that_do_not_steer_the_terminal(failed):
    fail(failed, "e", "OSError: \x1b[2J")

    told = run("--traceback").stdout

    assert "\nc: TimeoutError: after 5 s\nTraceback (most recent call last):\n" in told
    assert "\x1b" not in told
    assert r"OSError: \x1b[2J" in told


def test_of_one_bucket(failed):
    assert len(read("--bucket", "default")["failures"]) == 3
    result = run("--bucket", "other")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


def test_groups_that_differ_in_a_letter_have_ids_of_their_own(bucket, redis):
    for number in range(60):
        fail(bucket, f"job-{number}", f"E{number % 20}: x", line=number, file="ü" * (number % 3))

    assert len({group.id for group in FailureIndex(redis).read()}) == 60


def test_a_failure_counts_whatever_becomes_of_its_job(failed, redis):
    JobRequeuer(redis).requeue("a", now_us=failed.now_us)
    redis.delete(keys.job("c"), keys.results("c"))

    group = read()["failures"][1]

    assert (group["count"], group["job"]) == (2, "c")
    assert group["traceback"].endswith("TimeoutError: after 5 s\n")


def test_a_job_knows_its_group_until_it_is_requeued(failed, redis):
    group = next(group for group in FailureIndex(redis).read() if group.count == 2)

    assert redis.hget(keys.job("a"), "spigot_failure").decode() == group.id
    JobRequeuer(redis).requeue("a", now_us=failed.now_us)
    assert redis.hget(keys.job("a"), "spigot_failure") is None


def test_a_group_can_be_found_and_forgotten(failed, redis):
    index = FailureIndex(redis)
    group = index.read()[1]
    assert group.traceback is None
    assert index.find(group.id).traceback.endswith("TimeoutError: after 5 s\n")

    assert index.forget(group.id)

    assert index.find(group.id) is None
    assert [left.job for left in index.read()] == ["d", "b"]
    assert not index.forget(group.id)
    assert failed.read("a").status == "failed"


def test_there_are_at_most_a_thousand_groups_and_those_that_failed_last_are_kept(bucket, redis):
    old = {f"{number:016x}": number for number in range(1000)}
    redis.zadd(keys.failures(), {name: bucket.now_us // 1000 - 1000 + n for name, n in old.items()})
    redis.hset(keys.failure(f"{0:016x}"), "bucket", "default")

    fail(bucket, "a", "KeyError: 'x'")

    assert redis.zcard(keys.failures()) == 1000
    assert redis.zscore(keys.failures(), f"{0:016x}") is None
    assert not redis.exists(keys.failure(f"{0:016x}"))
    assert [group.job for group in FailureIndex(redis).read()] == ["a"]


def test_groups_go_some_time_after_their_last_failure(failed, redis):
    (group, *_) = FailureIndex(redis).read()
    for key in (keys.failures(), keys.failure(group.id)):
        assert KEEP_SECONDS - 10 < redis.ttl(key) <= KEEP_SECONDS

    failed.sleep(KEEP_SECONDS + 1)
    fail(failed, "late", "OSError: late")

    assert redis.zcard(keys.failures()) == 1


def test_a_job_that_was_deleted_while_it_ran_fails_in_no_group(bucket, redis):
    bucket.enqueue("a")
    claim = bucket.claim()
    redis.delete(keys.job("a"))

    bucket.fail(claim)

    assert FailureIndex(redis).read() == []
    assert not redis.exists(keys.job("a"))


def test_a_retry_is_no_failure(bucket):
    bucket.enqueue("a", "retried")
    bucket.retry(bucket.claim(), 1)

    assert read()["failures"] == []


def test_jobs_of_dead_workers_are_a_group_of_their_own(bucket):
    bucket.enqueue("a")
    for _ in range(3):
        bucket.claim()
        bucket.reap_until_silent()

    (group,) = read()["failures"]
    assert (group["error"], group["place"], group["count"]) == ("Abandoned", None, 1)
    assert group["message"].startswith("Abandoned: 3 workers died")


@pytest.mark.parametrize("name", [keys.failures(), "group"])
def test_a_key_that_somebody_else_wrote_stops_nothing(failed, redis, name):
    group = FailureIndex(redis).read()[0]
    key = keys.failure(group.id) if name == "group" else name
    redis.delete(key)
    redis.set(key, "odd")

    fail(failed, "e", "KeyError: 'x'", line=8)

    assert failed.read("waiting").status == "failed"
    assert run().exit_code == 0


def test_what_was_raised_nowhere_has_no_place(bucket):
    bucket.enqueue("a")
    bucket.fail(bucket.claim(), "Abandoned: its worker died 3 times")

    (group,) = read()["failures"]
    assert (group["error"], group["place"]) == ("Abandoned", None)


def test_costs_as_many_round_trips_with_more_jobs(bucket):
    counts = []
    for number in range(6):
        fail(bucket, f"job-{number}", "KeyError: 'x'")
        if number in (0, 5):
            with counted_round_trips() as sent:
                run()
            counts.append(len(sent))

    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("traceback", "place"),
    [
        (None, None),
        ("", None),
        ("KeyError: 'x'", None),
        (TRACE.format(file="a", line=3, error="E"), "/srv/shop/a.py:3 in charge"),
        (
            TRACE.format(file="a", line=3, error="E")
            + "\nDuring handling …\n\n"
            + TRACE.format(file="b", line=4, error="F"),
            "/srv/shop/b.py:4 in charge",
        ),
        (
            '  File "/usr/lib/python3.11/json.py", line 5, in loads',
            "json.py:5 in loads",
        ),
        (
            '  File "/srv/venv/lib/python3.11/site-packages/spigot/worker/a.py", line 5, in f',
            "spigot/worker/a.py:5 in f",
        ),
        (
            f'  File "/srv/a.py", line 3, in f\n    x\n  File "{PACKAGE}/jobs/a.py", line 5, in g',
            "/srv/a.py:3 in f",
        ),
        (f'  File "{PACKAGE}/worker/a.py", line 5, in f', "spigot/worker/a.py:5 in f"),
        (
            f'  File "{EXAMPLES}/a.py", line 5, in f\n  File "{PACKAGE}/jobs/a.py", line 6, in g',
            f"{EXAMPLES}/a.py:5 in f",
        ),
        ('  |   File "/srv/a.py", line 5, in <lambda>', "/srv/a.py:5 in <lambda>"),
        (f'  File "/{"a" * 400}.py", line 5, in f', f"{'a' * 290}.py:5 in f"),
    ],
)
def test_the_place_is_the_applications_last_frame(traceback, place):
    assert place_of(traceback) == place
