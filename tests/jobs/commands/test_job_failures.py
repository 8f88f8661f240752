import json

import pytest

from spigot.jobs.job import failures
from spigot.jobs.job.failures import place_of
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport
from tests.support.clocked_bucket import ClockedBucket
from tests.support.command_line import run_spigot
from tests.support.round_trips import counted_round_trips

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
    assert (shown["jobs"], shown["total"]) == (4, 4)


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
    assert read("--bucket", "default")["jobs"] == 4
    result = run("--bucket", "other")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


def test_looks_at_the_last_jobs_and_says_so(failed, monkeypatch):
    monkeypatch.setattr(failures, "MOST_JOBS", 2)

    assert [group["job"] for group in read()["failures"]] == ["d", "c"]
    assert run().stdout.endswith("the last 2 of 4 failed jobs\n")


def test_a_result_that_somebody_else_spoilt_has_no_place(failed, redis):
    redis.set(keys.results("d"), "odd")

    assert read()["failures"][0]["place"] is None


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
            "/usr/lib/python3.11/json.py:5 in loads",
        ),
        ('  |   File "/srv/a.py", line 5, in <lambda>', "/srv/a.py:5 in <lambda>"),
    ],
)
def test_the_place_is_the_applications_last_frame(traceback, place):
    assert place_of(traceback) == place
