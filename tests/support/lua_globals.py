"""Finds the names that a Lua text uses and does not define, without running it.

The compiler knows them: what is no local name is read by the instruction GETGLOBAL, and written by
SETGLOBAL. The server compiles the text and returns the code, which is read here.

Source: lundump.c and lopcodes.h of Lua 5.1, which is built into Redis.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from redis import Redis

PROVIDED = {"redis", "cjson", "string", "math", "table", "KEYS", "ARGV", "pcall", "ipairs"}
PROVIDED |= {"pairs", "tonumber", "tostring", "type", "unpack", "struct", "rawget", "_G"}
"""What every Redis since 6.2 gives to each script, as far as ours use it; ``os`` came with 7.2."""

HEADER_BYTES = 12
GET_GLOBAL, SET_GLOBAL = 5, 7
BOOLEAN, NUMBER, STRING = 1, 3, 4


@dataclass(frozen=True, slots=True)
class Globals:
    """The global names of a text, except those that Redis provides."""

    read: set[str]
    written: set[str]


def find_globals(redis: Redis, text: str) -> Globals:
    """Find the global names of a Lua text.

    Raises:
        redis.ResponseError: The text is no Lua.
    """
    code = BytesIO(redis.eval("return string.dump(assert(loadstring(ARGV[1])))", 0, text))
    code.seek(HEADER_BYTES)
    found = set(_instructions_with_names(code))
    read = {name for instruction, name in found if instruction == GET_GLOBAL}
    return Globals(
        read - PROVIDED, {name for instruction, name in found if instruction == SET_GLOBAL}
    )


def _instructions_with_names(code: BytesIO) -> Iterator[tuple[int, str]]:
    """Yield what a compiled function, and those within it, do with globals."""
    _string(code)
    _integers(code, 2)
    code.read(4)
    instructions = _integers(code, _integer(code))
    constants = [_constant(code) for _ in range(_integer(code))]
    for instruction in instructions:
        if instruction & 0x3F in (GET_GLOBAL, SET_GLOBAL):
            yield instruction & 0x3F, str(constants[instruction >> 14])
    for _ in range(_integer(code)):
        yield from _instructions_with_names(code)
    _integers(code, _integer(code))
    for _ in range(_integer(code)):  # local names
        _string(code)
        _integers(code, 2)
    for _ in range(_integer(code)):  # names from the function around it
        _string(code)


def _constant(code: BytesIO) -> object:
    kind = code.read(1)[0]
    if kind == STRING:
        return _string(code)
    return code.read({BOOLEAN: 1, NUMBER: 8}.get(kind, 0))


def _string(code: BytesIO) -> str:
    length = struct.unpack("<Q", code.read(8))[0]
    return code.read(length)[:-1].decode()


def _integer(code: BytesIO) -> int:
    return _integers(code, 1)[0]


def _integers(code: BytesIO, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}I", code.read(4 * count))
