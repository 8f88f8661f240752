import json

import pytest
from redis import Redis

from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport
from tests.support.clocked_bucket import ClockedBucket
from tests.support.command_line import run_spigot


@pytest.fixture(autouse=True)
def program(program_environment):
    """These commands run as they would beside the sample application."""


def run(*arguments):
    return run_spigot("job", *arguments)


def fail(bucket: ClockedBucket, job_id: str) -> None:
    bucket.enqueue(job_id)
    bucket.fail(bucket.claim())


def fails_in_one_line(result, *words):
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert all(word in result.stderr for word in words), result.stderr
    return True


class TestCancel:
    def test_a_waiting_job(self, bucket):
        bucket.enqueue("a")

        result = run("cancel", "a")

        assert (result.exit_code, result.stdout) == (0, "cancelled\n")
        assert bucket.status("a") == "cancelled"

    def test_shows_the_job_as_json(self, bucket):
        bucket.enqueue("a")

        assert json.loads(run("cancel", "a", "--json").stdout)["status"] == "cancelled"

    def test_a_running_job_waits_until_it_has_stopped(self, bucket, soon):
        bucket.enqueue("a")
        claim = bucket.claim()
        soon(bucket.leases.complete, AttemptReport(claim.token, "work", "x"), "cancelled")

        assert run("cancel", "a").stdout == "cancelled\n"

    def test_a_job_that_takes_its_time_to_stop(self, bucket, monkeypatch):
        monkeypatch.setattr("spigot.jobs.commands.job_changing.STOP_SECONDS", 0.3)
        bucket.enqueue("a")
        bucket.claim()

        result = run("cancel", "a")

        assert (result.exit_code, result.stdout) == (
            0,
            "the job is being stopped, and will not run again\n",
        )

    def test_a_job_that_has_ended(self, bucket):
        fail(bucket, "a")

        assert fails_in_one_line(run("cancel", "a"), "had already ended: it is failed")

    def test_no_such_job(self):
        assert fails_in_one_line(run("cancel", "nobody"), "there is no job 'nobody'")


class TestRequeue:
    def test_some(self, bucket, redis):
        for job_id in ("a", "b", "c"):
            fail(bucket, job_id)

        result = run("requeue", "a", "b")

        assert (result.exit_code, result.stdout) == (0, "2 jobs requeued\n")
        assert redis.lrange(keys.queue("default"), 0, -1) == [b"a", b"b"]

    def test_does_what_it_can_and_says_what_not(self, bucket):
        fail(bucket, "a")
        bucket.enqueue("b")

        result = run("requeue", "nobody", "b", "a")

        assert result.stdout == "1 job requeued\n"
        assert fails_in_one_line(
            result, "there is no job 'nobody'", "b: it has not failed, it is queued"
        )

    def test_shows_the_jobs_as_json(self, bucket):
        fail(bucket, "a")

        answer = json.loads(run("requeue", "a", "b", "--json").stdout)

        assert [job["id"] for job in answer["requeued"]] == ["a"]
        assert answer["refused"] == [
            "there is no job 'b': it never was, or it ended long ago",
        ]

    def test_all_failed(self, bucket):
        for number in range(5):
            fail(bucket, f"job-{number}")

        assert run("requeue", "--all-failed").stdout == "5 jobs requeued\n"
        assert run("requeue", "--all-failed").stdout == "0 jobs requeued\n"

    def test_all_failed_of_a_bucket(self, bucket):
        fail(bucket, "a")

        assert run("requeue", "--all-failed", "--bucket", "default").stdout == "1 job requeued\n"
        assert fails_in_one_line(
            run("requeue", "--all-failed", "--bucket", "other"), "no bucket 'other'", "default"
        )

    def test_as_many_as_there_is_room_for(self, redis: Redis):
        bucket = ClockedBucket(redis, capacity=3)
        for number in range(5):
            fail(bucket, f"job-{number}")

        result = run("requeue", "--all-failed")

        assert result.stdout == "3 jobs requeued\n"
        assert fails_in_one_line(result, "bucket 'default' is full; try again in ")

    @pytest.mark.parametrize(
        "arguments", [[], ["a", "--all-failed"], ["a", "--bucket", "default"], ["--bucket", "x"]]
    )
    def test_needs_ids_or_all(self, arguments):
        result = run("requeue", *arguments)

        assert result.exit_code == 2
        assert "give the ids of failed jobs, or --all-failed" in result.stderr


class TestList:
    def test_shows_a_row_for_each_job(self, bucket):
        fail(bucket, "broken")
        bucket.enqueue("waiting")
        lines = run("list").stdout.splitlines()

        assert lines[0].split()[:4] == ["ID", "TYPE", "STATUS", "BUCKET"]
        assert [line.split()[:3] for line in lines[1:]] == [
            ["waiting", "work", "queued"],
            ["broken", "work", "failed"],
        ]
        assert lines[2].endswith("KeyError: 'x'")

    def test_of_a_status_and_a_bucket(self, bucket):
        fail(bucket, "a")
        bucket.enqueue("b")

        page = json.loads(run("list", "--status", "failed", "--bucket", "default", "--json").stdout)

        assert [job["id"] for job in page["jobs"]] == ["a"]
        assert page["total"] == 1

    def test_shows_a_page(self, bucket):
        for number in range(5):
            bucket.enqueue(f"job-{number}")

        lines = run("list", "--limit", "2", "--skip", "1").stdout.splitlines()

        assert [line.split()[0] for line in lines[1:3]] == ["job-1", "job-2"]
        assert lines[3] == "2 of 5 jobs; --skip and --limit show others"

    def test_no_such_bucket(self, bucket):
        assert fails_in_one_line(run("list", "--bucket", "x"), "no bucket 'x'; known: default")

    @pytest.mark.parametrize(
        "arguments", [["--status", "lost"], ["--limit", "0"], ["--limit", "many"], ["--skip", "-1"]]
    )
    def test_refuses_what_cannot_be(self, arguments):
        assert run("list", *arguments).exit_code == 2


class TestShortIds:
    JOB = "0123456789abcdef0123456789abcdef"

    @pytest.mark.parametrize("command", ["show", "cancel", "requeue", "watch"])
    def test_every_command_takes_one(self, bucket, command):
        if command == "requeue":
            fail(bucket, self.JOB)
        else:
            bucket.enqueue(self.JOB)
        if command == "watch":
            run("cancel", self.JOB)

        result = run(command, self.JOB[:8], "--json")

        assert self.JOB in result.stdout

    @pytest.mark.parametrize("command", ["show", "cancel", "requeue", "watch"])
    def test_one_of_several_jobs_is_told_in_one_line(self, bucket, command):
        bucket.enqueue(self.JOB)
        bucket.enqueue(self.JOB[::-1].replace("fedcba98", self.JOB[:8], 1))

        result = run(command, self.JOB[:8])

        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert result.stderr.startswith("Error: several jobs begin with '01234567'")

    def test_lists_show_them(self, bucket):
        bucket.enqueue(self.JOB)

        assert run("list").stdout.splitlines()[1].split()[0] == self.JOB[:8]


def test_a_list_fits_the_terminal(bucket, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for number in range(3):
        fail(bucket, f"{number:032x}"[::-1])

    lines = run("list").stdout.splitlines()

    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
