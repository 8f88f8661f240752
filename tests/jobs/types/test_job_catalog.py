import importlib
import re
import sys
from pathlib import Path

import pytest

from spigot import UnknownJobType
from spigot.jobs.types.job_catalog import CatalogError, JobCatalog

JOB_TYPE = """
from spigot import job_type

@job_type({name!r}, bucket={bucket!r})
def {function}(x: int) -> int:
    return x
"""


def define(name: str, function: str = "run", bucket: str = "default") -> str:
    return JOB_TYPE.format(name=name, function=function, bucket=bucket)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a module which can be imported during this test."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)

    def write_module(name: str, source: str) -> None:
        path = tmp_path / Path(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)

    yield write_module
    for name in set(sys.modules) - known:
        del sys.modules[name]


def names(catalog: JobCatalog) -> list[str]:
    return sorted(job_type.name for job_type in catalog)


def test_a_module_is_loaded_with_its_job_types(write):
    write("one_app", define("first", "a") + define("second", "b", bucket="openai"))

    catalog = JobCatalog.load(["one_app"])

    assert names(catalog) == ["first", "second"]
    assert catalog.get("second").bucket == "openai"
    assert catalog.bucket_names() == {"default", "openai"}


def test_a_package_is_loaded_with_each_of_its_modules(write):
    write("big_app.__init__", define("top"))
    write("big_app.mail", define("mail"))
    write("big_app.pictures", define("pictures"))
    write("big_app.__main__", "raise SystemExit('this starts the application')")

    catalog = JobCatalog.load(["big_app"])

    assert names(catalog) == ["mail", "pictures", "top"]
    assert [module.__name__ for module in catalog.modules] == [
        "big_app",
        "big_app.mail",
        "big_app.pictures",
    ]


def test_several_apps_are_loaded(write):
    write("first_app", define("first"))
    write("second_app", define("second"))

    assert names(JobCatalog.load(["first_app", "second_app"])) == ["first", "second"]


def test_an_app_is_found_in_the_present_folder(tmp_path, monkeypatch):
    (tmp_path / "local_app.py").write_text(define("local"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])

    assert names(JobCatalog.load(["local_app"])) == ["local"]
    del sys.modules["local_app"]


def test_a_job_type_that_another_module_imports_is_one(write):
    write("origin_app", define("shared"))
    write("other_app", "from origin_app import run")

    assert names(JobCatalog.load(["origin_app", "other_app"])) == ["shared"]


def test_a_module_that_is_not_there_stops_the_start():
    message = (
        "SPIGOT_APPS: {} cannot be imported: there is no module {}, neither in the current folder "
        f"({Path.cwd()}) nor among the installed packages"
    )

    for app, missing in [("no_such_app", "no_such_app"), ("no.such.app", "no")]:
        with pytest.raises(CatalogError) as raised:
            JobCatalog.load([app])
        assert str(raised.value) == message.format(app, missing)


def test_a_module_that_is_not_there_needs_no_traceback(write, caplog):
    write("half_app.__init__", "")

    for app in ("no_such_app", "half_app.none"):
        with caplog.at_level("INFO"), pytest.raises(CatalogError, match="there is no module"):
            JobCatalog.load([app])

    assert not caplog.records


@pytest.mark.parametrize("ending", ["raise SystemExit(3)", "import sys; sys.exit()"])
def test_a_module_that_ends_the_program_stops_the_start_with_its_line(write, ending):
    write("script_app", f"X = 1\n{ending}\n")

    with pytest.raises(CatalogError) as raised:
        JobCatalog.load(["script_app"])

    assert re.fullmatch(
        r"SPIGOT_APPS: script_app cannot be imported: it ends the program \(.*script_app\.py:2\): "
        r'let it do so only if __name__ == "__main__"',
        str(raised.value),
    )


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("local.py", "local"),
        ("./local.py", "local"),
        ("shop/tasks.py", "shop.tasks"),
        ("shop/", "shop"),
        ("/srv/local.py", "its name"),
        (".local", "its name"),
    ],
)
def test_a_path_in_place_of_a_module_is_answered_with_the_name(tmp_path, monkeypatch, path, advice):
    (tmp_path / "local.py").write_text(define("local"))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(CatalogError) as raised:
        JobCatalog.load([path])

    told = f"SPIGOT_APPS: {path} is a path and no name of a module: write {advice}"
    assert str(raised.value) == told


def test_the_current_folder_is_looked_in_first(tmp_path, monkeypatch, write):
    write("twice_app", define("installed"))
    here = tmp_path / "here"
    here.mkdir()
    (here / "twice_app.py").write_text(define("local"))
    monkeypatch.chdir(here)

    assert names(JobCatalog.load(["twice_app"])) == ["local"]


@pytest.mark.parametrize("name", ["redis", "time", "pydantic.tasks"])
def test_a_module_in_whose_place_another_is_loaded_stops_the_start(tmp_path, monkeypatch, name):
    first = name.partition(".")[0]
    (tmp_path / f"{first}.py").write_text(define("local"))
    monkeypatch.chdir(tmp_path)

    with pytest.raises(CatalogError) as raised:
        JobCatalog.load([name])

    text = str(raised.value)
    assert f"SPIGOT_APPS: {name} of the current folder cannot be imported" in text
    assert text.endswith(": rename it")
    assert "\n" not in text


def test_a_folder_without_init_gives_way_to_an_installed_package(tmp_path, monkeypatch, write):
    write("plain_app.__init__", "")
    here = tmp_path / "here"
    (here / "plain_app").mkdir(parents=True)
    (here / "plain_app" / "tasks.py").write_text(define("local"))
    monkeypatch.chdir(here)

    with pytest.raises(CatalogError, match=r"add plain_app/__init__\.py, or rename it"):
        JobCatalog.load(["plain_app.tasks"])

    (here / "plain_app" / "__init__.py").touch()
    importlib.invalidate_caches()
    assert names(JobCatalog.load(["plain_app.tasks"])) == ["local"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError"),
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        (
            "from spigot import job_type\n@job_type('bare')\ndef bare(x): ...",
            "ValueError: job type 'bare': parameter 'x' has no annotation",
        ),
    ],
)
def test_a_module_that_fails_stops_the_start_with_its_error(write, source, reason):
    write("bad_app.__init__", "")
    write("bad_app.inner", source)

    with pytest.raises(CatalogError, match=f"bad_app.inner cannot be imported: {reason}"):
        JobCatalog.load(["bad_app"])


def test_an_error_that_spigot_raises_is_in_the_line_of_its_author(write):
    write("misused_app", "from spigot import job_type\n\njob_type('x', timeout=0)(print)\n")

    with pytest.raises(CatalogError, match=r"\(.*misused_app\.py:3\)$"):
        JobCatalog.load(["misused_app"])


def test_an_import_error_names_the_line_of_its_author(write, caplog):
    write("deep_app.__init__", "")
    write("deep_app.helper", "import json\n\n\ndef read():\n    return json.loads('{')\n")
    write("deep_app.tasks", "from .helper import read\nread()\n")

    with caplog.at_level("INFO"), pytest.raises(CatalogError) as raised:
        JobCatalog.load(["deep_app"])

    assert re.search(r"JSONDecodeError: .*helper\.py:5\)$", str(raised.value))
    assert "\n" not in str(raised.value)
    assert "in read" in caplog.text
    assert "json/decoder.py" in caplog.text


def test_pydantics_errors_take_one_line_too(write):
    write("policy_app", "from spigot import RetryPolicy\n\nRetryPolicy(retries=-1, delay='x')")

    with pytest.raises(CatalogError, match=r"retries: Input .*; delay: .*policy_app\.py:3\)$"):
        JobCatalog.load(["policy_app"])


def test_a_broken_line_is_named(write):
    write("broken_app", "x = 1\ndef broken(:")

    with pytest.raises(CatalogError, match=r"SyntaxError: .*broken_app\.py:2\)$"):
        JobCatalog.load(["broken_app"])


def test_an_app_that_defines_nothing_is_told(write, caplog):
    write("empty_app", "def hello(): ...")
    write("routes_app", "blueprint = 1")
    write("parts_app.__init__", "")
    write("parts_app.helper", "")
    write("parts_app.tasks", define("one"))

    JobCatalog.load(["empty_app", "routes_app", "parts_app"])

    (record,) = caplog.records
    assert "SPIGOT_APPS: empty_app defines no job type and no blueprint" in record.getMessage()


def test_two_job_types_of_one_name_stop_the_start(write):
    write("left_app", define("same", "left"))
    write("right_app", define("same", "right"))

    with pytest.raises(
        CatalogError, match=r"'same' is defined twice: left_app\.left and right_app\.right"
    ):
        JobCatalog.load(["left_app", "right_app"])


def test_an_unknown_job_type_is_answered_with_the_known_ones(write):
    write("some_app", define("zebra", "a") + define("ant", "b"))
    catalog = JobCatalog.load(["some_app"])

    with pytest.raises(UnknownJobType, match="no job type 'bee'; known: ant, zebra") as raised:
        catalog.get("bee")

    assert raised.value.known == ["ant", "zebra"]


def test_an_empty_catalog_says_so():
    with pytest.raises(UnknownJobType, match="known: none"):
        JobCatalog().get("bee")


def test_finding_returns_none_for_what_is_not_there(write):
    write("found_app", define("here"))
    catalog = JobCatalog.load(["found_app"])

    assert catalog.find("here") is catalog.get("here")
    assert catalog.find("gone") is None
    assert catalog.find(None) is None


def test_a_module_may_hold_objects_that_only_live_in_a_request(write):
    write("proxy_app", "from flask import current_app, request\n" + define("behind"))

    assert names(JobCatalog.load(["proxy_app"])) == ["behind"]
