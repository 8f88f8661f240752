import json

import pytest

from spigot.jobs.store import keys
from tests.support.command_line import run_spigot
from tests.support.redis_content import content
from tests.support.warm_python import warm_python

UNREACHABLE = "redis://:s3cret@127.0.0.1:1"


@pytest.fixture(autouse=True)
def program(program_environment):
    """These commands run as they would beside the sample application."""


def run(*arguments):
    return run_spigot("job", *arguments)


def submitted(*arguments):
    return json.loads(run("submit", *arguments, "--json").stdout)


def fails_in_one_line(result, *words):
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert all(word in result.stderr for word in words), result.stderr
    return True


class TestSubmitFrom:
    @pytest.fixture
    def file(self, tmp_path):
        file = tmp_path / "jobs.jsonl"
        file.write_text('{"x": 1}\n\n{"x": 2}\n{"x": 3}\n{"x": 4}\n')
        return file

    def test_enqueues_a_job_for_each_line_until_the_bucket_is_full(self, redis, file):
        result = run("submit", "add", "--from", str(file), "--json")

        ids = [job_id.decode() for job_id in redis.lrange(keys.queue("default"), 0, -1)]
        assert (json.loads(result.stdout), result.exit_code) == (ids, 1)
        assert "is full: try again in" in result.stderr
        assert "go on with --skip 3" in result.stderr

        redis.hset(keys.bucket("default"), "capacity", 9)
        assert run("submit", "add", "--from", str(file), "--skip", "3").stdout == "1 job taken in\n"

    def test_says_which_job_is_wrong(self, redis, file):
        file.write_text('{"x": 1}\n{"x": "many"}\n')

        result = run("submit", "add", "--from", str(file))

        assert (result.exit_code, redis.llen(keys.queue("default"))) == (1, 0)
        assert "job 2 of the file: x: " in result.stderr

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            (b'{"x": 1', "line 2 is not JSON: Expecting"),
            (b'{"x": "\xff"}', "line 2 is not JSON: byte 8 is not UTF-8"),
            (b"[" * 100_000, "line 2 is not JSON: it is nested too deeply"),
        ],
    )
    def test_says_which_line_is_no_json(self, redis, file, line, words):
        file.write_bytes(b'{"x": 1}\n' + line)

        assert fails_in_one_line(run("submit", "add", "--from", str(file)), words)
        assert redis.llen(keys.queue("default")) == 0

    def test_a_file_without_a_job_is_told_in_one_line(self, file):
        file.write_text("")

        result = run("submit", "add", "--from", str(file))

        assert (result.stdout, result.stderr) == ("0 jobs taken in\n", "")

    @pytest.mark.parametrize("arguments", [["{}", "--from", "-"], ["{}", "--skip", "1"]])
    def test_takes_a_payload_or_a_file(self, arguments):
        assert run("submit", "add", *arguments).exit_code == 2


class TestSubmit:
    def test_enqueues_a_job(self, redis):
        job = submitted("add", '{"x": 1}', "--priority", "high")

        assert (job["type"], job["status"], job["priority"]) == ("add", "queued", "high")
        assert redis.lrange(keys.queue("default-high"), 0, -1) == [job["id"].encode()]

    def test_prints_a_line_for_each_field(self):
        lines = dict(
            line.split(maxsplit=1) for line in run("submit", "add", '{"x": 1}').stdout.splitlines()
        )

        assert lines["type"] == "add"
        assert lines["position"] == "1"
        assert lines["result"] == "-"

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["subtract"], ["no job type 'subtract'", "known: add, order, purge, shout"]),
            (["add"], ["payload of job type 'add'", "x: Field required"]),
            (["add", '{"x": "many"}'], ["x: ", "valid integer"]),
            (["add", '{"x": '], ["the payload is not JSON"]),
            (["add", "[1]"], ["payload: "]),
            (["add", "[" * 100_000], ["the payload is not JSON: it is nested too deeply"]),
        ],
    )
    def test_bad_input_fails_in_one_line(self, redis, arguments, words):
        assert fails_in_one_line(run("submit", *arguments), *words)
        assert content(redis) == {}

    def test_a_full_bucket_fails_in_one_line(self):
        for _ in range(3):
            submitted("add", '{"x": 1}')

        result = run("submit", "add", '{"x": 1}')

        assert fails_in_one_line(result, "bucket 'default' is full", "try again in")

    def test_an_unknown_priority_says_which_there_are(self):
        result = run("submit", "add", '{"x": 1}', "--priority", "urgent")

        assert result.exit_code == 2
        assert "'high', 'default', 'low'" in result.stderr


class TestShow:
    def test_shows_where_a_job_is(self):
        job = submitted("add", '{"x": 1}')

        shown = json.loads(run("show", job["id"], "--json").stdout)

        assert (shown["id"], shown["position"]) == (job["id"], 1)
        assert job["id"] in run("show", job["id"]).stdout

    @pytest.mark.parametrize("job_id", ["nothing", "a:b", ""])
    def test_a_job_that_does_not_exist_fails_in_one_line(self, job_id):
        assert fails_in_one_line(run("show", job_id), f"there is no job '{job_id}'")

    @pytest.mark.parametrize("command", ["show", "watch", "cancel", "requeue"])
    def test_of_too_few_characters_says_how_many_are_enough(self, command):
        job_id = submitted("add", '{"x": 1}')["id"]

        result = run(command, job_id[:5])

        assert result.exit_code == 1
        assert f"there is no job '{job_id[:5]}': give 8 or more characters" in result.stderr

    def test_a_strangers_text_does_not_steer_the_terminal(self, redis):
        job_id = submitted("add", '{"x": 1}')["id"]
        redis.hset(
            keys.job(job_id), mapping={"status": "failed", "spigot_error": "E: \x1b[2J\n\r\x9b31m"}
        )

        assert r"E: \x1b[2J\n\r\x9b31m" in run("show", job_id).stdout


class TestTheServer:
    @pytest.mark.parametrize("arguments", [("submit", "add", '{"x": 1}'), ("show", "abc")])
    def test_that_is_away_fails_in_one_line(self, monkeypatch, arguments):
        monkeypatch.setenv("REDIS_URL", UNREACHABLE)

        result = run(*arguments)

        assert fails_in_one_line(result, "the server does not answer")
        assert "s3cret" not in result.stderr

    @pytest.mark.parametrize("arguments", [("submit", "add", '{"x": 1}'), ("show", "abc")])
    def test_that_nobody_named_fails_in_one_line(self, monkeypatch, arguments):
        monkeypatch.delenv("REDIS_URL")

        assert fails_in_one_line(run(*arguments), "no server", "REDIS_URL")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PORT", "http", ["PORT='http'"]),
        ("SPIGOT_APPS", "no_such_app", ["SPIGOT_APPS", "no_such_app"]),
        ("SPIGOT_BUCKETS", "nowhere.json", ["nowhere.json"]),
    ],
)
def test_what_must_be_mended_fails_in_one_line(monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)

    assert fails_in_one_line(run("submit", "add", '{"x": 1}'), *words)


@pytest.mark.parametrize("command", ["submit", "show"])
def test_help_shows_an_example(command):
    assert f"spigot job {command} " in run(command, "--help").stdout.partition("Example:")[2]


def test_a_real_process_exits_with_1(redis):
    done = warm_python().run("-m", "spigot", "job", "show", "nothing")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: there is no job 'nothing'")
