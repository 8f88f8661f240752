"""Loads a script and the library functions that it calls.

Lua in Redis cannot import, so a script is sent as one text. Its first line names the libraries
that it needs (``-- requires: bucket, job_moves``), and so does the first line of a library that
builds on others. They lie in the folder ``lua`` beside this module.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from redis import Redis
from redis.commands.core import Script

REQUIRES = re.compile(r"-- requires: (.+)\n")
HEADER = re.compile(r"\A--\[\[.*?\]\]\n", re.DOTALL)
DEFINITION = re.compile(r"local (?:function )?(\w+(?:, \w+)*)")
NAME = re.compile(r"\w+")


def load_script(redis: Redis, package: str, filename: str) -> Script:
    """Register a script with Redis.

    Args:
        redis: Connection the script runs on.
        package: Dotted package that holds the script; pass ``__package__``.
        filename: Such as ``"leak.lua"``.

    Returns:
        A callable; it sends EVALSHA and loads the source again after NOSCRIPT.

    Raises:
        FileNotFoundError: There is no such script, or a library that it requires is missing.
    """
    return redis.register_script(script_text(package, filename))


@cache
def script_text(package: str, filename: str) -> str:
    """Return a script, after those functions of its libraries that it calls.

    Redis runs the whole text at each call, so a function that is not called would cost time.
    """
    script = files(package).joinpath(filename).read_text("utf-8")
    definitions = [found for library in _libraries_of(script) for found in _definitions(library)]
    called = set(NAME.findall(script))
    kept = []
    for text in reversed(definitions):
        if called & _defined_in(text):
            kept.append(text)
            called |= set(NAME.findall(text))
    return "".join([*reversed(kept), script])


def required_by(text: str) -> list[str]:
    """Return the names of the libraries that the first line of a Lua file asks for."""
    found = REQUIRES.match(text)
    return found[1].split(", ") if found else []


def library_text(name: str) -> str:
    """Return the library ``name``.

    Raises:
        FileNotFoundError: There is none.
    """
    return files(__package__).joinpath("lua", f"{name}.lua").read_text("utf-8")


def _libraries_of(text: str) -> list[str]:
    """Return the libraries' texts, each after those that it requires itself."""
    texts: dict[str, str] = {}

    def add(name: str) -> None:
        if name not in texts:
            library = library_text(name)
            for required in required_by(library):
                add(required)
            texts[name] = library

    for name in required_by(text):
        add(name)
    return list(texts.values())


def _definitions(library: str) -> Iterator[str]:
    """Split a library where a line begins a function or a constant, each with its comment."""
    body = HEADER.sub("", REQUIRES.sub("", library, count=1))
    part: list[str] = []
    for line in body.splitlines(keepends=True):
        if line.startswith("local ") and _defined_in("".join(part)):
            comment = _comment_at_the_end(part)
            yield "".join(part[: len(part) - comment])
            part = part[len(part) - comment :]
        part.append(line)
    yield "".join(part)


def _comment_at_the_end(lines: list[str]) -> int:
    """Return how many of the last lines are the comment of what follows."""
    count = 0
    while count < len(lines) and lines[-1 - count].startswith("--"):
        count += 1
    return count


def _defined_in(text: str) -> set[str]:
    found = re.search(r"^local .*", text, re.MULTILINE)
    definition = DEFINITION.match(found[0]) if found else None
    return set(definition[1].split(", ")) if definition else set()
