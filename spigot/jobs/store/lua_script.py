"""Loads a script and the library functions that it calls.

Lua in Redis cannot import, so a script is sent as one text. Its first line names the libraries
that it needs (``-- requires: bucket, job_moves``), and so does the first line of a library that
builds on others. They lie in the folder ``lua`` beside this module. A line ``-- rarely: promote``
below it names functions of libraries that the common path does not call: they, and what they
need, are made when they are called, because Redis makes all functions of a text at each call. Each
such call, ``promote(name)``, is sent as ``rarely("promote")(name)``: one function makes them all.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import hiredis
from redis import Redis
from redis.client import Pipeline
from redis.commands.core import Script
from redis.exceptions import ResponseError

Call = tuple[Script, Sequence[Any], Sequence[Any]]
"""A script, its keys and its arguments."""

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


class PersistentScript(Script):
    """A script that is called again when what stopped it has been set aside.

    Scripts decide before they write, so one that met a key of another type has moved no job.
    """

    def __init__(self, redis: Redis, text: str) -> None:
        from .direct_call import call_directly, takes_direct_calls  # the door loads less

        super().__init__(redis, text)
        self._directly = call_directly if takes_direct_calls(redis) else None

    @property
    def is_called_directly(self) -> bool:
        """Whether its client takes direct calls, as ``direct_call.py`` has them."""
        return self._directly is not None

    def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        """Run the script, or add it to a pipeline, which is not tried again."""
        keys, args = keys or (), args or ()
        if self._directly and client is None:
            return self.send(pack("EVALSHA", self.sha, len(keys), *keys, *args), keys)
        try:
            return super().__call__(keys, args, client)
        except ResponseError as error:
            if not _is_set_aside(error, client or self.registered_client, keys):
                raise
            return super().__call__(keys, args, client)

    def call_ahead(self, keys: Sequence[Any], args: Sequence[Any]) -> Callable[[], Any]:
        """Send a call whose answer is wanted later; only if it is called directly.

        Returns:
            Waits for the answer, and returns it; a call that was refused is made again then.

        Raises:
            redis.RedisError: It is not known whether the script ran.
        """
        from .direct_call import send_ahead

        packed = pack("EVALSHA", self.sha, len(keys), *keys, *args)
        client: Any = self.registered_client
        reply = send_ahead(client, packed)

        def answer() -> Any:
            try:
                return reply()
            except ResponseError:
                return self(keys, args)

        return answer

    def send(self, call: bytes, keys: Sequence[Any]) -> Any:
        """Run the script by a call that is packed already; only if it is called directly."""
        directly: Any = self._directly
        try:
            return directly(self, call)
        except ResponseError as error:
            if not _is_set_aside(error, self.registered_client, keys):
                raise
            return directly(self, call)


def pack(*parts: Any) -> bytes:
    """Return a command as it is sent.

    Raises:
        TypeError: A part is neither text nor bytes nor a number.
    """
    packed: bytes = hiredis.pack_command(parts)
    return packed


def _is_set_aside(error: ResponseError, redis: Any, keys: Sequence[Any]) -> bool:
    """Return whether what stopped a script lies elsewhere now."""
    from .setting_aside import set_aside_spoilt  # the door loads less
    from .stored_values import is_spoilt

    return is_spoilt(error) and bool(set_aside_spoilt(redis, keys))


def load_script(redis: Redis, package: str, filename: str) -> PersistentScript:
    """Register a script with Redis.

    Args:
        redis: Connection the script runs on.
        package: Dotted package that holds the script; pass ``__package__``.
        filename: Such as ``"leak.lua"``.

    Returns:
        A callable; it sends EVALSHA, loads the source again after NOSCRIPT, and is called again
        after a key of another type stopped it, as :mod:`.setting_aside` tells.

    Raises:
        FileNotFoundError: There is no such script, or a library that it requires is missing.
    """
    return PersistentScript(redis, script_text(package, filename))


def call_together(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """Call scripts in one round trip; each is as atomic as alone, and none undoes another.

    One that the server refused is called again alone: it may not have known the script, or the
    script has met what has to be set aside.

    Args:
        redis: Connection that they run on.
        calls: Scripts with their keys and arguments, in this order.

    Raises:
        redis.RedisError: It is unknown which of them ran; each must be safe to repeat.
    """
    if len(calls) == 1:
        ((script, keys, args),) = calls
        return [script(keys=keys, args=args)]
    replies = replies_together(redis, calls)
    call_refused_again(calls, replies)
    return replies


def replies_together(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """Call scripts in one round trip, and return what each replies; of a refusal, the error.

    Args:
        redis: Connection that they run on; scripts of another one may be among them.
        calls: As ``call_together`` takes them.

    Raises:
        redis.RedisError: As ``call_together``.
    """
    from .direct_call import send_together, takes_direct_calls  # the door loads less

    if takes_direct_calls(redis):
        return send_together(
            redis,
            [pack("EVALSHA", script.sha, len(keys), *keys, *args) for script, keys, args in calls],
        )
    with redis.pipeline(transaction=False) as pipeline:
        add_calls(pipeline, calls)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
    return replies


def add_calls(pipeline: Pipeline, calls: Iterable[Call]) -> None:
    """Add calls to a pipeline, whose replies ``call_refused_again`` is to see."""
    for script, keys, args in calls:
        pipeline.evalsha(script.sha, len(keys), *keys, *args)


def call_refused_again(calls: Iterable[Call], replies: list[Any]) -> bool:
    """Call alone what the server refused, and put what it replies in place of the refusals.

    Returns:
        Whether there was any.

    Raises:
        redis.RedisError: It is unknown which of the calls ran.
    """
    was_refused = False
    for number, ((script, keys, args), reply) in enumerate(zip(calls, replies, strict=True)):
        if isinstance(reply, ResponseError):
            replies[number] = script(keys=keys, args=args)
            was_refused = True
        elif isinstance(reply, Exception):
            raise reply
    return was_refused


@cache
def script_text(package: str, filename: str) -> str:
    """Return a script, after those functions of its libraries that it calls.

    Redis runs the whole text at each call, so a function that is not called would cost time.
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
