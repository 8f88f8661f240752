import os
import subprocess
import sys
from pathlib import Path

import pytest

from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.launch.completion import SHELLS, VARIABLE
from spigot.webapp.door.rate_limits import bans
from tests.support.clocked_bucket import ClockedBucket
from tests.support.command_line import run_spigot
from tests.support.minimal_app import NUMBERS

WAITING = "1" * 32
FAILED = "2" * 32


@pytest.fixture(autouse=True)
def program(program_environment, redis):
    BucketPublisher(redis).publish(NUMBERS)


@pytest.fixture
def proposed(monkeypatch):
    """Returns what bash is told to propose for the last of some words."""

    def ask(*words):
        monkeypatch.setenv(VARIABLE, "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(["spigot", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        result = run_spigot()
        assert (result.exit_code, result.stderr) == (0, "")
        return [line.partition(",")[2] for line in result.stdout.splitlines() if line]

    return ask


@pytest.mark.parametrize(
    ("words", "proposals"),
    [
        (["buck"], ["bucket"]),
        (["bucket", "dr"], ["drain"]),
        (["bucket", "show", ""], ["default", "narrow"]),
        (["bucket", "rate", "n"], ["narrow"]),
        (["bucket", "drain", "d"], ["default"]),
        (["worker", "default", "n"], ["narrow"]),
        (["job", "list", "--bucket", "n"], ["narrow"]),
        (["job", "list", "--status", "fin"], ["finished"]),
        (["job", "submit", ""], ["add", "order", "purge", "shout"]),
        (["job", "submit", "ad"], ["add"]),
        (["completion", ""], list(SHELLS)),
    ],
    ids=" ".join,
)
def test_proposes_names(proposed, words, proposals):
    assert proposed(*words) == proposals


@pytest.mark.parametrize(
    ("command", "ids"),
    [
        ("show", {WAITING, FAILED}),
        ("watch", {WAITING, FAILED}),
        ("cancel", {WAITING}),
        ("requeue", {FAILED}),
    ],
)
def test_proposes_the_jobs_that_a_command_is_for(proposed, bucket: ClockedBucket, command, ids):
    bucket.enqueue(FAILED)
    bucket.fail(bucket.claim())
    bucket.enqueue(WAITING)

    assert set(proposed("job", command, "")) == ids
    assert proposed("job", command, "3") == []


def test_proposes_clients(proposed, redis):
    bans.ban(redis, "192.0.2.7", 60)

    assert proposed("limits", "unban", "192") == ["192.0.2.7"]


def test_what_a_stranger_chose_is_proposed_only_if_it_is_a_plain_word(proposed, redis):
    for name in ("192.0.2.7$(id)", "192.0.2.7;id", "192.0.2.7\nplain,id", "192.0.2.8"):
        bans.ban(redis, name, 60)

    assert proposed("limits", "unban", "192") == ["192.0.2.8"]


@pytest.mark.parametrize("words", [["bucket", "show", ""], ["job", "show", ""], ["worker", ""]])
def test_without_a_server_nothing_is_proposed_and_nothing_said(proposed, monkeypatch, words):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")

    assert proposed(*words) == []


def test_an_app_that_cannot_be_imported_says_nothing(proposed, monkeypatch):
    monkeypatch.setenv("SPIGOT_APPS", "no_such_app")

    assert proposed("job", "submit", "") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_its_script(shell):
    script = run_spigot("completion", shell).stdout

    assert f"{VARIABLE}={shell}_complete" in script


def test_an_unknown_shell_is_one_line():
    result = run_spigot("completion", "tcsh")

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_a_real_bash_completes():
    script = (
        'eval "$(spigot completion bash)" && COMP_WORDS=(spigot bucket show n) COMP_CWORD=3 '
        '&& _spigot_completion spigot && echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("narrow\n", "")
