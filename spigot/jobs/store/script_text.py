"""Composes a script of its own text and of the library functions that it calls.

Lua in Redis cannot import, so a script is sent as one text. Its first line names the libraries
that it needs (``-- requires: bucket, job_moves``), and so does the first line of a library that
builds on others. They lie in the folder ``lua`` beside this module. A line ``-- rarely: promote``
below it names functions of libraries that the common path does not call: they, and what they
need, are made when they are called, because Redis makes all functions of a text at each call. Each
such call, ``promote(name)``, is sent as ``rarely("promote")(name)``: one function makes them all.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

REQUIRES = re.compile(r"-- requires: (.+)\n")

RARELY = re.compile(r"^-- rarely: (.+)\n", re.MULTILINE)

DEFINITION = re.compile(
    r"(?:^--(?!\[\[).*\n)*^local (?:function )?(?P<names>\w+(?:, \w+)*).*\n(?:(?!local |--).*\n)*",
    re.MULTILINE,
)
"""A function or a constant of a library, with the comment above it. Only these begin a line with
``local``."""

RARELY_BEGINS = "rarely = function(name)\n"
"""Declared before the functions that call it, and made after those that it uses."""

NO_NAMES = re.compile(r"""--\[\[.*?\]\]|"[^"\n]*"|'[^'\n]*'|--[^\n]*""", re.DOTALL)
"""Comments and strings."""

USED_NAME = re.compile(r"(?<![.\w])[A-Za-z_]\w*(?! =[^=])")
"""Neither a field nor what is set."""


@cache
def script_text(package: str, filename: str) -> str:
    """Return a script, after those functions of its libraries that it calls.

    Redis runs the whole text at each call, so a function that is not called would cost time.

    Args:
        package: Dotted package that holds the script.
        filename: Such as ``"leak.lua"``.

    Raises:
        FileNotFoundError: There is no such script, or a library that it requires is missing.
    """
    script = files(package).joinpath(filename).read_text("utf-8")
    definitions = [each for name in _libraries_of(script) for each in _definitions_in(name)]
    rare = rarely_called_by(script)
    used = _needed(definitions, _names_used_in(script), known=rare)
    if not rare:
        return "".join([*(each.text for each in used), script])
    common = [each for each in used if not each.names & rare]
    makers = [_maker(each, definitions) for each in used if each.names & rare]
    texts = [_calling_rarely(text, rare) for text in [*(each.text for each in common), script]]
    texts.insert(-1, "".join([RARELY_BEGINS, *makers, "end\n"]))
    return "".join(["local rarely = nil\n", *texts])


@dataclass(frozen=True, slots=True)
class Definition:
    """A function or a constant of a library.

    Attributes:
        names: What it defines.
        text: With the comment above it.
        uses: The names in it.
    """

    names: frozenset[str]
    text: str
    uses: frozenset[str]


@cache
def _definitions_in(library: str) -> tuple[Definition, ...]:
    """Return what a library defines; it is read once, for all the scripts of a process."""
    return tuple(
        Definition(
            frozenset(found["names"].split(", ")), found[0], frozenset(_names_used_in(found[0]))
        )
        for found in DEFINITION.finditer(library_text(library))
    )


def _needed(
    definitions: Sequence[Definition], used: Collection[str], known: Collection[str] = ()
) -> list[Definition]:
    """Return the definitions of the names used, and of all that these use themselves.

    Args:
        definitions: Each after those that it may use.
        used: Names.
        known: Names of definitions that are taken as they are, without what they use.
    """
    used, needed = set(used), []
    for definition in reversed(definitions):
        if definition.names & used:
            needed.append(definition)
            if not definition.names & set(known):
                used |= definition.uses
    return needed[::-1]


def _maker(rare: Definition, definitions: Sequence[Definition]) -> str:
    """Return the part of ``rarely`` that makes a function, and all that this one needs.

    What the common path has made already is made again: to borrow it, ``rarely`` would be tied to
    each such name whenever the script is called.
    """
    (name,) = rare.names
    before = definitions[: definitions.index(rare)]
    made = "".join(each.text for each in _needed(before, rare.uses))
    return f'if name == "{name}" then\n{made}{rare.text}return {name}\nend\n'


def _calling_rarely(text: str, rare: Collection[str]) -> str:
    """Return a text that has rare functions made before it calls them."""
    calls = rf"(?<![.\w])({'|'.join(sorted(rare))})(?=\()"
    return re.sub(calls, r'rarely("\1")', text)


def required_by(text: str) -> list[str]:
    """Return the names of the libraries that the first line of a Lua file asks for."""
    found = REQUIRES.match(text)
    return found[1].split(", ") if found else []


def rarely_called_by(text: str) -> set[str]:
    """Return the names of the functions that a script says it calls rarely."""
    found = RARELY.search(text)
    return set(found[1].split(", ")) if found else set()


@cache
def library_text(name: str) -> str:
    """Return the library ``name``.

    Raises:
        FileNotFoundError: There is none.
    """
    return files(__package__).joinpath("lua", f"{name}.lua").read_text("utf-8")


def _libraries_of(text: str) -> list[str]:
    """Return the names of all that a file needs, each after those that it needs itself."""
    names = [needed for name in required_by(text) for needed in _with_what_it_needs(name)]
    return list(dict.fromkeys(names))


@cache
def _with_what_it_needs(library: str) -> tuple[str, ...]:
    return (*_libraries_of(library_text(library)), library)


def _names_used_in(text: str) -> set[str]:
    return set(USED_NAME.findall(NO_NAMES.sub("", text)))
