"""docs/redis-keys.md, held against the names in scripts and modules.

A name that is new in the code needs a row in the page, and a row needs a name in the code.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.configuring import rate_fields
from spigot.jobs.bucket.control import OperatorSettings
from tests.support.redis_keys_page import KEY, KEYS_OF_PAGE, PAGE, PAGE_NAME, first_column

ROOT = Path(__file__).parents[2]
CODE = [ROOT / name for name in ("jobs", "worker", "webapp")]
JOB_CODE = CODE[:2]
"""Names of metrics in the web begin like our fields of a job."""

NO_KEYS = {"rq:", "spigot:1:"}
"""Beginnings that something is joined to that a reader does not see there."""

NO_ENDINGS = {":sum_us"}
"""Of a field of `…:stats`."""

SETTINGS = {*BucketConfig.model_fields, *OperatorSettings.model_fields, *rate_fields(None)}
"""Fields of a bucket that ``configure.lua`` is told by name."""

HASHES = {
    "bucket": r"bucket_key\(.*\)|bucket: KEYS\[1\]|\"spigot:1:bucket:\" \.\. name",
    "lease": r"lease: KEYS\[1\]|lease_key\(.*\)|leases\[i\]",
    "budgets": r"budgets_key\(.*\)|key",
    "sweep": r"sweep: KEYS\[1\]",
    "failure": r'group|"spigot:1:failure:" \.\. id',
    "idempotency": r"(.*\.)?idempotency",
    "sought": r"sought: KEYS\[3\]",
    "other": r'.* \.\. ":\w+"|stats|job|job: KEYS\[1\]|RQ_JOB \.\. .*|"rq:.*|hash',
}
"""How scripts name a hash, `add` any. Jobs' fields are known by name; other hashes have none."""


def files(folders: list[Path], kind: str) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.rglob(f"*.{kind}"))]


def lua(path: Path) -> str:
    """Return a script without its comments."""
    return re.sub(r"--\[\[.*?\]\]|--[^\n]*", "", path.read_text(), flags=re.DOTALL)


@cache
def lua_texts() -> list[str]:
    return [lua(path) for path in files(CODE, "lua")]


@cache
def python_texts() -> list[list[str]]:
    return [pieces for path in files(CODE, "py") for pieces in texts_in(path)]


def texts_in(path: Path) -> Iterator[list[str]]:
    """Yield the pieces of each text, with ``PREFIX`` filled in; a gap is between two pieces."""
    tree = ast.parse(path.read_text())
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield [node.value]
        elif isinstance(node, ast.JoinedStr):
            text = ""
            for part in node.values:
                if isinstance(part, ast.Constant):
                    text += part.value
                else:
                    name = part.value
                    text += constants.get(name.id, "\0") if isinstance(name, ast.Name) else "\0"
            yield text.split("\0")


def beginnings_in_code() -> set[str]:
    found = {text for script in lua_texts() for text in re.findall(r'"([^"\n]*)"', script)}
    found |= {pieces[0] for pieces in python_texts()}
    return {text for text in found if KEY.fullmatch(text) and " " not in text} - NO_KEYS


def endings_in_code() -> set[str]:
    found = {text for script in lua_texts() for text in re.findall(r'\.\. "(:[a-z_]+)"', script)}
    for first, *_, last in (pieces for pieces in python_texts() if len(pieces) > 1):
        if KEY.fullmatch(first) and len(last) > 1:
            found.add(last)
    return found - NO_ENDINGS


def section(title: str) -> str:
    text = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert text, f"{PAGE_NAME} has no section {title!r}"
    return text


BEGINNINGS_OF_PAGE = {re.split("[A-Z]", key)[0] for key in KEYS_OF_PAGE}
ENDINGS_OF_PAGE = {e for key in KEYS_OF_PAGE if (e := re.split("[A-Z]+", key)[-1]) and e != key}


def compare(what: str, in_page: set[str], in_code: set[str]) -> None:
    missing, gone = sorted(in_code - in_page), sorted(in_page - in_code)
    assert not missing, f"{PAGE_NAME} lacks a row for {what}: {', '.join(missing)}"
    assert not gone, f"{PAGE_NAME} names {what} that no script or module has: {', '.join(gone)}"


def arguments(call: str) -> list[str]:
    """Return what stands between the commas of a call, which ends with its parenthesis."""
    found, depth, quoted = [""], 0, False
    for letter in call:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter in "({[") - (letter in ")}]")
        if depth < 0:
            break
        if letter == "," and depth == 0 and not quoted:
            found.append("")
        else:
            found[-1] += letter
    return [argument.strip() for argument in found]


def meaning(name: str, before: str) -> str:
    """Return what a variable was last set to in the script before."""
    for names, values in reversed(re.findall(r"local ([\w, ]+) = ([^\n]+)", before)):
        if name in names.split(", "):
            value = arguments(values)[names.split(", ").index(name)]
            return f"{name}: {value}" if value.startswith("KEYS") else value
    return name


def hash_calls() -> Iterator[tuple[str, list[str], str]]:
    """Yield command, arguments from the key on, and the script before it."""
    for script in lua_texts():
        for match in re.finditer(r'(?:redis\.p?call|lenient|try)\("(H[A-Z]+)", ', script):
            key, *rest = arguments(script[match.end() :])
            before = script[: match.start()]
            yield match[1], [meaning(key, before), *rest], before


def fields_of(command: str, args: list[str], before: str) -> Iterator[str]:
    if args[1:] == ["unpack(names)"]:
        yield from re.findall(r'"(\w+)"', before.rpartition("local names = {")[2].split("}")[0])
    pairs = command == "HSET"
    several = pairs or command in ("HDEL", "HMGET")
    for argument in args[1 :: 2 if pairs else 1] if several else args[1:2]:
        yield from re.findall(r'^"([a-z_]+:?)"', argument)


def fields_in_scripts(kind: str) -> set[str]:
    return {
        field
        for command, args, before in hash_calls()
        if re.fullmatch(HASHES[kind], args[0])
        for field in fields_of(command, args, before)
    }


def test_every_key_has_its_row():
    compare("keys that begin with", BEGINNINGS_OF_PAGE, beginnings_in_code())
    compare("keys that end with", ENDINGS_OF_PAGE, endings_in_code())


def test_every_field_of_a_job_has_its_row():
    pattern = r'"(spigot_[a-z_]+)"'
    sources = [lua(path) for path in files(JOB_CODE, "lua")]
    sources += [path.read_text() for path in files(JOB_CODE, "py")]
    found = {name for text in sources for name in re.findall(pattern, text)}

    compare("fields of a job", first_column(section("Fields of a job")), found)


def test_every_field_of_a_bucket_has_its_row():
    written = first_column(section("Fields of a bucket"))
    families = {name for name in written if re.search("[A-Z]", name)}
    found = fields_in_scripts("bucket") | SETTINGS

    assert families == {"operator_X", "file_X", "default_X", "head:QUEUE", "surveyed:QUEUE"}
    compare("fields of a bucket", written - families, {f for f in found if f[-1] not in "_:"})
    beginnings = {f for text in lua_texts() for f in re.findall(r'"([a-z]+:)" \.\. queue', text)}
    compare("fields of a bucket that begin with", {"head:", "surveyed:"}, beginnings)


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("lease", "Fields of a lease"),
        ("sweep", "Fields of the search for lost jobs"),
        ("idempotency", "Fields of an idempotency key"),
    ],
)
def test_every_field_of_a_small_hash_has_its_row(kind, title):
    compare(f"fields of a hash ({kind})", first_column(section(title)), fields_in_scripts(kind))


def test_no_script_writes_a_hash_that_these_tests_do_not_know():
    for command, args, _ in hash_calls():
        known = any(re.fullmatch(pattern, args[0]) for pattern in HASHES.values())
        assert known, f"say in HASHES which hash {args[0]!r} is, of {command} {args}"


def test_the_numbers_and_switches_of_a_bucket_are_named_in_one_sentence():
    sentence = re.search(r"`X` is each of .*", section("Fields of a bucket"))[0]

    assert set(re.findall(r"`([a-z_]+)`", sentence)) == SETTINGS
