"""Each Lua file, held against what it says that it needs, and against what is sent of it."""

import re
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

import spigot
from spigot.jobs.store.script_text import (
    DEFINITION,
    library_text,
    rarely_called_by,
    required_by,
    script_text,
)
from spigot.jobs.store.times import utc_text
from tests.support.lua_globals import Globals, find_globals

ROOT = Path(spigot.__file__).parent
LIBRARIES = sorted((ROOT / "jobs/store/lua").glob("*.lua"))
SCRIPTS = sorted(path for path in ROOT.rglob("*.lua") if path not in LIBRARIES)
LOADED = re.compile(r'(?:load_script|DirectScript)\(\w+, __package__, "(\w+\.lua)"')

by_name = {"ids": lambda path: path.name}
each_file = pytest.mark.parametrize("path", [*LIBRARIES, *SCRIPTS], **by_name)
each_script = pytest.mark.parametrize("path", SCRIPTS, **by_name)


def names_of(definition):
    return set(definition["names"].split(", "))


def names_in(library):
    return set().union(*map(names_of, DEFINITION.finditer(library_text(library))))


def sent(path):
    return script_text(".".join(path.parent.relative_to(ROOT.parent).parts), path.name)


@each_file
def test_a_file_requires_what_it_uses_and_nothing_else(redis, path):
    text = path.read_text()
    used = find_globals(redis, text)
    found = {library: names_in(library) for library in required_by(text)}

    assert not used.written
    assert not used.read - set().union(*found.values()), "names that no required library defines"
    assert [library for library, names in found.items() if not names & used.read] == []


@each_script
def test_a_script_is_sent_with_all_that_it_calls_and_no_more(redis, path):
    text = sent(path)
    libraries, header, script = text.rpartition(path.read_text().partition("\n")[0])
    defined = set().union(*map(names_of, DEFINITION.finditer(libraries)))
    as_globals = find_globals(
        redis, re.sub("^local ", "", libraries, flags=re.MULTILINE) + header + script
    )

    assert not find_globals(redis, text).read, "names that nothing defines"
    assert not sorted(defined - as_globals.read), "names that nothing calls"


def test_no_two_libraries_define_the_same_name():
    names = [name for path in LIBRARIES for name in sorted(names_in(path.stem))]

    assert sorted(names) == sorted(set(names))


def test_each_library_is_required_by_some_file():
    required = {name for path in [*LIBRARIES, *SCRIPTS] for name in required_by(path.read_text())}

    assert required == {path.stem for path in LIBRARIES}


@pytest.mark.parametrize("path", LIBRARIES, **by_name)
def test_all_of_a_library_is_found_in_its_definitions(path):
    code = re.sub(
        r"\A(?:-- requires: .*\n)?--\[\[.*?\]\]\n+", "", path.read_text(), flags=re.DOTALL
    )

    assert "".join(found[0] for found in DEFINITION.finditer(code)) == code


@each_script
def test_a_script_is_loaded_by_exactly_one_module_beside_it(path):
    users = [file for file in ROOT.rglob("*.py") if path.name in LOADED.findall(file.read_text())]

    assert [user.parent for user in users] == [path.parent]


@each_script
def test_what_a_script_calls_rarely_is_named_by_it_and_made_when_it_is_called(path):
    text = sent(path)
    for name in rarely_called_by(path.read_text()):
        assert f'if name == "{name}" then\n' in text, f"{name} is not called"
        assert f'rarely("{name}")(' in text, f"{name} is not called"


def test_a_rare_function_brings_what_only_it_needs(redis, tmp_path, monkeypatch):
    package = tmp_path / "sample"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "run.lua").write_text(
        "-- requires: times\n-- rarely: utc_text\n"
        "return ARGV[1] == '' and 'common' or utc_text(tonumber(ARGV[1]))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    text = script_text("sample", "run.lua")

    assert text.index("rarely = function(name)") < text.index("local SECOND_US")
    assert redis.eval(text, 0, "") == b"common"
    assert redis.eval(text, 0, "1500000") == b"1970-01-01T00:00:01.500000Z"


DAY_US = 86_400_000_000
SINCE_MIDNIGHT_US = [
    whole + fraction
    for whole in (0, 59_000_000, 60_000_000, 3_599_000_000, 3_600_000_000, DAY_US - 1_000_000)
    for fraction in (0, 1, 9, 123_456, 500_000, 999_990, 999_999)
]


@pytest.mark.parametrize("other_us", [0, 1, 60_000_000, DAY_US - 1, DAY_US, -1, 400 * DAY_US])
@pytest.mark.parametrize("day", [0, 19_782, 20_454, 47_541])  # 19782: a 29th of February
def test_a_time_is_written_alike_beside_any_other(redis, day, other_us):
    text = (
        library_text("times")
        + "local other_us, texts = tonumber(ARGV[1]), {}\n"
        + "for i = 3, #ARGV do texts[#texts + 1] ="
        + " utc_text_beside(tonumber(ARGV[i]), other_us, ARGV[2]) end\nreturn texts"
    )
    times_us = [day * DAY_US + us for us in SINCE_MIDNIGHT_US]
    other_us += day * DAY_US

    texts = redis.eval(text, 0, other_us, utc_text(other_us)[:17], *times_us)

    assert texts == [utc_text(us).encode() for us in times_us]


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    package = tmp_path / "lacking"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "run.lua").write_text("-- requires: bucket, nowhere\nreturn 1\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(FileNotFoundError, match=r"nowhere\.lua"):
        script_text("lacking", "run.lua")


def test_a_name_that_is_missing_is_found(redis):
    text = "local function f(a) return a .. missing(other) end\nset = f(1)"

    assert find_globals(redis, text) == Globals({"missing", "other"}, {"set"})
    with pytest.raises(ResponseError, match="expected near"):
        find_globals(redis, "local = 1")
