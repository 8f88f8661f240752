"""``import spigot`` is the public face: its names, what they load, and who uses them."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from mypy.find_sources import create_source_list
from mypy.options import Options

import spigot

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAMES = {
    "BucketFull",
    "CostExceedsBurst",
    "Door",
    "EnqueuedJob",
    "IdempotencyConflict",
    "InvalidCost",
    "InvalidPayload",
    "JobGone",
    "JobState",
    "Priority",
    "RateAwarePoolWorker",
    "RateAwareSimpleWorker",
    "RateAwareWorker",
    "RateLimited",
    "RetryPolicy",
    "UnknownJobType",
    "create_app",
    "enqueue",
    "enqueue_many",
    "job_type",
    "note_response",
    "raise_for_rate_limit",
    "rate_limit",
    "read_model",
    "report_cost",
    "report_progress",
    "require_admin",
    "show_job",
    "submit",
}
LINKS = ["jobs", "webapp", "worker", "examples"]
INNER_IMPORT = re.compile(r"^\s*(?:>>> )?(?:from|import) (spigot\.\S+)", re.MULTILINE)
MODULES_FOR_USERS = ("spigot.examples", "spigot.testing")
PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("spigot/examples/*.py")]
LOAD_EACH = """
import flask, os, pydantic_settings, redis, rq, spigot

homes = {home: name for name, home in spigot._HOMES.items()}
for name in homes.values():  # each home in a process that has loaded none of our modules
    if not os.fork():
        getattr(spigot, name)
        os.write(1, f"{name}\\n".encode())
        os._exit(0)
for name in homes:
    os.wait()
"""
TYPED = """
from spigot import Door, EnqueuedJob, JobState, RetryPolicy, enqueue, job_type, rate_limit
from spigot import raise_for_rate_limit
from spigot import RateAwareWorker, create_app, read_model, report_progress, show_job, submit


@job_type("square", retries=RetryPolicy(retries=1))
def square(n: int) -> int:
    return n * n


job: EnqueuedJob = enqueue("square", {"n": square(2)}, priority="low")
reveal_type(create_app())
reveal_type(enqueue)
reveal_type(square)
"""


def run_python(code, folder):
    """Run code in a process of its own, which imports what lies in ``folder``."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60
    )


def test_the_names_are_these():
    assert set(spigot.__all__) == NAMES
    assert set(dir(spigot)) >= NAMES


@pytest.mark.slow
def test_each_home_of_a_name_loads_when_it_is_the_first(tmp_path):
    result = run_python(LOAD_EACH, tmp_path)

    assert result.stderr == ""
    assert {spigot._HOMES[name] for name in result.stdout.split()} == set(spigot._HOMES.values())


def test_importing_it_loads_nothing_else(tmp_path):
    code = "import sys, spigot; print([m for m in sys.modules if m.startswith('spigot.')]," + (
        "[m for m in ('rq', 'flask', 'redis', 'pydantic', 'click') if m in sys.modules])"
    )

    assert run_python(code, tmp_path).stdout == "[] []\n"


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'spigot' has no attribute 'nothing'"):
        getattr(spigot, "nothing")  # noqa: B009


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_and_examples_import_from_the_face_alone(page):
    inner = [name for name in INNER_IMPORT.findall(page.read_text())]

    assert [name for name in inner if not name.startswith(MODULES_FOR_USERS)] == []


@pytest.mark.parametrize("name", LINKS)
def test_nothing_is_imported_through_the_links_at_the_root(name):
    assert (ROOT / name).is_symlink()

    last = run_python(f"import {name}", ROOT).stderr.splitlines()[-1]

    assert last == f"ImportError: import spigot.{name} instead of {name}"


def test_ruff_sees_each_file_once():
    ruff = Path(sys.executable).with_name("ruff")
    shown = subprocess.run(
        [ruff, "check", "--show-files", "."], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert len(shown) > 100
    assert len({Path(path).resolve() for path in shown}) == len(shown)


def test_pytest_looks_for_tests_below_one_folder_without_links(pytestconfig):
    assert pytestconfig.getini("testpaths") == ["tests"]
    assert not [path for path in ROOT.joinpath("tests").rglob("*") if path.is_symlink()]
    assert not list(ROOT.joinpath("spigot").rglob("test_*.py"))


def test_mypy_sees_each_file_once(monkeypatch):
    monkeypatch.chdir(ROOT)
    options = Options()
    options.exclude = [PYPROJECT["tool"]["mypy"]["exclude"]]

    files = [Path(source.path).resolve() for source in create_source_list(["."], options)]

    assert len(files) > 100
    assert len(set(files)) == len(files)


@pytest.mark.slow
def test_an_application_is_checked_by_mypy_strict(tmp_path):
    (tmp_path / "shop.py").write_text(TYPED)

    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert "error:" not in result.stdout
    app, of_enqueue, of_square = re.findall(r'Revealed type is "(.*)"', result.stdout)
    assert app == "flask.app.Flask"
    assert of_enqueue.endswith("-> spigot.jobs.enqueued_job.EnqueuedJob")
    assert of_square == "def (n: int) -> int"


def test_the_names_are_those_of_their_modules():
    for name, home in spigot._HOMES.items():
        assert getattr(spigot, name) is getattr(import_module(home, "spigot"), name)
