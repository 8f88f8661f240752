"""What docs/rate-limits.md shows works as it stands there."""

import json
import re
import shlex
from pathlib import Path

import pytest

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.job.queue import BucketRefusal
from spigot.webapp.door.headers import rate_limit_headers, whole_seconds
from spigot.webapp.door.rate_limits.decision import Verdict
from spigot.webapp.door.rate_limits.rules_text import RulesError, parse_rules
from spigot.webapp.door.refusal import refusal
from tests.support.clocked_bucket import ClockedBucket
from tests.support.clocked_limiter import SECOND, ClockedLimiter
from tests.support.command_line import run_spigot

DOCS = (Path(__file__).parents[2] / "docs" / "rate-limits.md").read_text()
JSON = re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)
WINDOW, TOKENS, LEAKY, RULES, PROBLEM = JSON
(APP,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
(HEADERS,) = re.findall(r"```\n(RateLimit.*?)```", DOCS, re.DOTALL)
(COMMANDS,) = re.findall(r"```\n(spigot.*?)```", DOCS, re.DOTALL)


def timeline(heading):
    """Return the rows of the first table below ``heading``."""
    below = DOCS.partition(f"### {heading}")[2]
    rows = re.findall(r"^\| (.*) \|$", below.partition("\n\nIt promises")[0], re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows[2:]]


def seconds(clock):
    """Return the seconds since noon."""
    hours, minutes, rest = clock.split(":")
    return (int(hours) - 12) * 3600 + int(minutes) * 60 + float(rest)


@pytest.mark.parametrize(("heading", "rules"), [("Fixed window", WINDOW), ("Token bucket", TOKENS)])
def test_the_timelines_of_the_door_are_true(redis, heading, rules):
    limiter = ClockedLimiter(redis, json.loads(rules))
    rows = timeline(heading)
    assert len(rows) >= 7

    for clock, answer, left, retry_after in rows:
        decision = limiter.ask(int(seconds(clock) * SECOND))
        assert decision.verdict is (Verdict.ADMITTED if answer == "200" else Verdict.REFUSED)
        assert decision.states[0].remaining == int(left)
        assert str(whole_seconds(decision.wait_us) or "") == retry_after


def test_the_timeline_of_the_tap_is_true(redis):
    ((_, numbers),) = json.loads(LEAKY).items()
    bucket = ClockedBucket(redis, rate=numbers["rate"], capacity=numbers["capacity"])
    began_us = bucket.now_us
    rows = timeline("Leaky bucket")
    starts = {}
    for tick in range(100):
        bucket.now_us = began_us + tick * SECOND // 10
        for job, arrives, _ in rows:
            if seconds(arrives) == tick / 10 and not enqueue(bucket, job):
                starts[job] = "refused: full"
        while isinstance(claim := bucket.ask(), Claim):
            starts[claim.job_id] = (claim.slot_us - began_us) / SECOND

    told = {job: text if "refused" in text else seconds(text) for job, _, text in rows}
    assert starts == told


def enqueue(bucket, job_id):
    answer = bucket.queue.enqueue("work", {"text": ""}, job_id=job_id, now_us=bucket.now_us)
    return not isinstance(answer, BucketRefusal)


def test_the_rules_can_be_used():
    assert list(parse_rules(RULES).by_name) == [
        "default",
        "special_path",
        "process-doc",
        "daily",
        "trial",
    ]


@pytest.mark.parametrize("number", ['"1/d"', "0.3333333333333333"])
def test_what_is_said_to_be_refused_is_refused(number):
    with pytest.raises(RulesError, match="20/m"):
        parse_rules(f'{{"r": {{"capacity": 1000000, "refill_rate": {number}}}}}')


def test_the_headers_are_as_they_are_shown(redis):
    limiter = ClockedLimiter(redis, {**json.loads(TOKENS), **json.loads(WINDOW)})
    for _ in range(2):
        limiter.ask(0, rules=["report"])

    headers = rate_limit_headers(limiter.ask(19 * SECOND))

    assert "".join(f"{name}: {value}\n" for name, value in headers) == HEADERS


def test_the_problem_is_as_it_is_shown(redis):
    limiter = ClockedLimiter(redis, json.loads(WINDOW))
    for _ in range(3):
        limiter.ask(0)

    assert refusal(limiter.ask(19 * SECOND)).json == json.loads(PROBLEM)


@pytest.fixture
def folder(tmp_path, monkeypatch, redis, redis_url):
    """The folder that the page's program and commands run in."""
    (tmp_path / "rate_limits.json").write_text(
        json.dumps({**json.loads(WINDOW), **json.loads(TOKENS)})
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)


def test_the_program_limits_its_views(folder, redis_url):
    names = {"__name__": "__main__"}
    exec(APP.replace("redis://localhost:6379/0", redis_url), names)
    client = names["app"].test_client()

    assert [client.post("/report").status_code for _ in range(2)] == [201, 429]
    assert client.get("/search").status_code == 429
    assert client.get("/search", environ_overrides={"REMOTE_ADDR": "::1"}).status_code == 200


@pytest.mark.parametrize("command", COMMANDS.splitlines())
def test_the_commands_work(folder, command):
    program, *arguments = shlex.split(command)

    result = run_spigot(*arguments)

    assert (program, result.exit_code, result.stderr) == ("spigot", 0, "")
