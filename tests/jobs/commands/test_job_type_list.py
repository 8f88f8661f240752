import json
from typing import Any

import pytest
from pydantic import BaseModel

from spigot.jobs.commands import job_type_list
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import job_type, registered_type
from tests.support.command_line import run_spigot

UNREACHABLE = "redis://127.0.0.1:1"


@pytest.fixture(autouse=True)
def program(program_environment, monkeypatch):
    """There is no server: none is needed."""
    monkeypatch.setenv("REDIS_URL", UNREACHABLE)


def run(*arguments):
    return run_spigot("job", "types", *arguments)


def test_shows_a_row_for_each_type():
    head, add, order, purge, shout = run().stdout.splitlines()

    assert head.split() == ["TYPE", "BUCKET", "TIMEOUT", "RETRIES", "PAYLOAD"]
    assert add.split(maxsplit=5)[:2] == ["add", "default"]
    assert add.endswith("  180 s    0        x integer, [y integer]")
    assert order.endswith("  from string, [amount number]")
    assert purge.startswith("purge (internal)  default")
    assert shout.split() == ["shout", "narrow", "7", "s", "2", "text", "string"]


def test_prints_json():
    types = {each["name"]: each for each in json.loads(run("--json").stdout)["types"]}

    assert list(types) == ["add", "order", "purge", "shout"]
    assert [name for name in types if types[name]["internal"]] == ["purge"]
    assert (types["shout"]["timeout"], types["shout"]["retries"]["retries"]) == (7, 2)
    assert types["shout"]["bucket"] == "narrow"
    assert types["order"]["payload"]["required"] == ["from"]


def test_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")

    assert max(map(len, run().stdout.splitlines())) <= 50


class Inner(BaseModel):
    """A part of a payload."""

    name: str


@job_type("odd")
def odd(inner: Inner, many: list[int] | None = None, any: Any = None):
    """Take fields of several kinds."""


@job_type("plain")
def plain():
    """Take nothing."""


def test_tells_fields_of_every_kind(monkeypatch):
    catalog = JobCatalog([registered_type(odd), registered_type(plain)])
    monkeypatch.setattr(job_type_list.JobCatalog, "load", lambda apps: catalog)

    lines = run().stdout.splitlines()

    assert lines[1].endswith("  inner Inner, [many array or null], [any]")
    assert lines[2].endswith("  none")


def test_an_app_that_cannot_be_imported_is_one_line(monkeypatch):
    monkeypatch.setenv("SPIGOT_APPS", "no_such_app")

    result = run()

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
