import getpass
import json
from socket import gethostname

import pytest

from spigot.jobs.bucket.configuring import BucketHistory
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.store import keys
from tests.support.command_line import run_spigot
from tests.support.minimal_app import NUMBERS


@pytest.fixture(autouse=True)
def published(program_environment, redis):
    BucketPublisher(redis).publish(NUMBERS)


@pytest.fixture
def default(redis):
    """Reads the bucket ``default``."""
    return lambda: BucketReader(redis).read("default")


def run(*arguments):
    return run_spigot("bucket", *arguments)


@pytest.mark.parametrize(
    ("arguments", "said", "state"),
    [
        (("rate", "default", "5/s"), "rate 10/s → 5/s", {"interval": 0.2}),
        (("rate", "default", "60/m burst 3"), "rate 10/s → 60/m burst 3", {"burst": 3}),
        (("capacity", "default", "500"), "capacity 3 → 500", {"capacity": 500}),
        (("max-running", "default", "4"), "max_running none → 4", {"max_running": 4}),
        (("max-running", "narrow", "none"), "max_running 4 → none", {}),
        (("pause", "default"), "paused no → yes", {"paused": True}),
        (("drain", "default", "--no-wait"), "draining no → yes", {"draining": True}),
        (("rate", "default", "10/s"), "nothing to change", {}),
        (("resume", "default"), "nothing to change", {}),
        (("reset", "default"), "nothing to change", {}),
    ],
)
def test_a_command_says_what_it_changed(default, arguments, said, state):
    result = run(*arguments)

    assert (result.exit_code, result.stdout) == (0, f"{arguments[1]}: {said}\n")
    assert state.items() <= default().to_json().items()


def test_release_ends_a_hold_and_resume_says_that_it_does_not(redis, default):
    redis.hset(keys.bucket("default"), mapping={"held_until_us": 2**52, "hold_reason": "wait"})
    until = default().held_until

    assert run("resume", "default").stdout == (
        "default: nothing to change\n"
        f"default: still held until {until} (wait); `spigot bucket release default` ends that\n"
    )
    assert run("release", "default").stdout == f"default: held until {until}, released\n"
    assert run("release", "default").stdout == "default: was not held\n"
    assert default().held_until is None
    change = BucketHistory(redis).read("default")[0]
    assert change["by"] == f"{getpass.getuser()}@{gethostname()}"
    assert change["changes"] == {"held_until": [until, ""]}
    assert json.loads(run("release", "default", "--json").stdout)["held_until"] is None


def test_resume_ends_a_pause_and_a_drain(default):
    run("pause", "default")
    run("drain", "default", "--no-wait")

    assert run("resume", "default").stdout == "default: paused yes → no, draining yes → no\n"

    assert (default().paused, default().draining) == (False, False)


def test_reset_takes_back_what_operators_said(default):
    for arguments in (("rate", "5/s"), ("capacity", "9"), ("max-running", "1")):
        run(arguments[0], "default", arguments[1])

    run("reset", "default")

    assert (default().rate, default().capacity, default().max_running) == ("10/s", 3, None)


def test_a_command_prints_the_bucket_as_json():
    printed = json.loads(run("rate", "default", "5/s", "--json").stdout)

    assert (printed["name"], printed["rate"]) == ("default", "5/s")


def test_who_gave_a_command_is_kept(redis):
    run("capacity", "default", "9")

    record = BucketHistory(redis).read("default")[0]
    assert record["by"] == f"{getpass.getuser()}@{gethostname()}"


def test_a_user_without_a_name_is_named_by_number(redis, monkeypatch):
    def nameless():
        raise OSError("no such user")

    monkeypatch.setattr(getpass, "getuser", nameless)

    run("capacity", "default", "9")

    assert BucketHistory(redis).read("default")[0]["by"].startswith("uid ")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("rate", "default", "fast"), "'fast' is no rate; write it like 10/s"),
        (("rate", "default", "0/s"), "must be at least 1"),
        (("capacity", "default", "0"), "0 is not in the range x>=1"),
        (("max-running", "default", "0"), "0 is not in the range x>=1"),
        (("max-running", "default", "all"), "'all' is not a valid integer"),
    ],
)
def test_a_wrong_number_is_refused_with_the_reason(default, arguments, problem):
    result = run(*arguments)

    assert result.exit_code == 2
    assert problem in result.stderr
    assert default().sources["rate"] == "file"


@pytest.mark.parametrize(
    "arguments",
    [
        ("rate", "other", "5/s"),
        ("capacity", "other", "5"),
        ("max-running", "other", "5"),
        ("pause", "other"),
        ("resume", "other"),
        ("release", "other"),
        ("drain", "other"),
        ("purge", "other", "--yes"),
        ("reset", "other"),
    ],
)
def test_an_unknown_bucket_fails_in_one_line(redis, arguments):
    result = run(*arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: there is no bucket 'other'; `spigot bucket list` shows all\n"
    assert not redis.exists(keys.bucket("other"))


class TestPurge:
    @pytest.fixture(autouse=True)
    def jobs(self, queue):
        for _ in range(2):
            queue.enqueue("add", {"x": 1})

    def test_asks_first(self, default, monkeypatch):
        monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: "n")

        result = run("purge", "default")

        assert result.exit_code == 1
        assert "Aborted" in result.stderr
        assert default().waiting == 2

    def test_who_cannot_be_asked_is_told_the_option(self, default, monkeypatch):
        def nobody(prompt):
            raise EOFError

        monkeypatch.setattr("click.termui.visible_prompt_func", nobody)

        result = run("purge", "default")

        told = "Error: Aborted: nothing was cancelled; --yes cancels without being asked\n"
        assert (result.exit_code, result.stderr) == (1, told)
        assert default().waiting == 2

    def test_does_what_was_confirmed(self, default, monkeypatch):
        asked = []
        monkeypatch.setattr(
            "click.termui.visible_prompt_func", lambda prompt: asked.append(prompt) or "y"
        )

        result = run("purge", "default")

        assert (result.exit_code, default().waiting) == (0, 0)
        assert result.stdout.endswith("default: 2 jobs were cancelled\n")

    def test_says_of_one_job_that_it_was_cancelled(self, default, redis):
        redis.lpop(keys.queue("default"))

        assert run("purge", "default", "--yes").stdout == "default: 1 job was cancelled\n"

    def test_is_confirmed_in_advance_by_an_option(self, default):
        result = run("purge", "default", "--yes")

        assert (result.exit_code, result.stdout) == (0, "default: 2 jobs were cancelled\n")
        assert default().waiting == 0

    def test_prints_json(self, default):
        result = run("purge", "default", "--yes", "--json")

        assert json.loads(result.stdout) == {"bucket": "default", "cancelled": 2}
        assert default().waiting == 0

    def test_asks_beside_the_json(self, default, monkeypatch):
        monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: "y")

        assert json.loads(run("purge", "default", "--json").stdout)["cancelled"] == 2

    def test_without_a_terminal_and_without_yes_changes_nothing(self, default, monkeypatch):
        def no_terminal(prompt):
            raise EOFError

        monkeypatch.setattr("click.termui.visible_prompt_func", no_terminal)

        assert run("purge", "default").exit_code == 1
        assert default().waiting == 2


class TestDrain:
    def test_of_an_empty_bucket_ends_at_once(self, default):
        result = run("drain", "default")

        assert result.exit_code == 0
        assert result.stdout.endswith(
            "default is empty; it takes jobs again after `spigot bucket resume default`\n"
        )
        assert default().draining

    @pytest.mark.parametrize(
        ("paused", "reason"),
        [
            (True, "default is paused: `spigot bucket resume` would end the drain too"),
            (False, "no worker of default is alive: start one with `spigot worker default`"),
        ],
    )
    def test_says_why_nothing_leaves(self, queue, redis, monkeypatch, paused, reason):
        queue.enqueue("add", {"x": 1})
        if paused:
            run("pause", "default")
        looks = iter([None, None])

        def look(seconds):
            if next(looks, "empty") == "empty":
                redis.delete(keys.queue("default"))

        monkeypatch.setattr("spigot.jobs.commands.bucket_emptying.time.sleep", look)

        result = run("drain", "default")

        assert result.stderr.count(reason) == 1
        assert result.exit_code == 0

    @pytest.mark.parametrize("options", [[], ["--no-wait"]])
    def test_prints_json(self, default, options):
        result = run("drain", "default", "--json", *options)

        assert (result.exit_code, result.stderr) == (0, "")
        assert json.loads(result.stdout)["draining"]
        assert default().draining
