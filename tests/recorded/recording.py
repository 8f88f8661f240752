"""A recording: what a version left in Redis, as commands, with times that count from "now".

The file has one JSON value a line. The first is an object: the version, and the names of the
jobs. Each other line is a command, a list of strings. In a string, ``{us:-1500000}`` is a time
1.5 s before the recording, in the unit that is named, ``{utc:…}`` the same as RFC 3339 (the
number is µs), ``{slot:…}`` in slots of 300 s; an object is bytes, ``{"base64": …}`` or the
``{"doubles": […]}`` of the door.
"""

import base64
import json
import re
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from redis import Redis

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
NEAR_US = 400 * DAY_US
"""What lies nearer than this to the recording is a time."""

SLOT_US = 300 * SECOND_US
UTC_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"
TIME = re.compile(
    r"(?<![\w.])(?:(?P<us>\d{16})|(?P<ms>\d{13})|(?P<s>\d{10}(?:\.\d+)?)"
    r"|(?P<utc>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z))(?![\w.])"
)
MARK = re.compile(r"\{(us|ms|s|utc|slot):([+-][\d.]+)\}")
SLOT_KEY = re.compile(r"(spigot:1:door:refusals:)(\d+)")
STATE_KEY = re.compile(r"spigot:1:door:(bucket|window):")

Text = str | dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """What one version left.

    Attributes:
        version: Which.
        jobs: Ids by what state they are in.
        commands: That make the server what it was.
    """

    version: str
    jobs: dict[str, str]
    commands: list[list[Text]]

    @classmethod
    def read(cls, path: Path) -> "Recording":
        head, *commands = map(json.loads, path.read_text("utf-8").splitlines())
        return cls(head["version"], head["jobs"], commands)

    def write(self, path: Path) -> None:
        lines = [{"version": self.version, "jobs": self.jobs}, *self.commands]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        path.write_text(text, "utf-8")

    def play(self, redis: Redis, age: float = 0) -> None:
        """Make an empty server what it was ``age`` seconds after the recording."""
        assert redis.dbsize() == 0, "a recording is played into an empty server"
        now_us = time.time_ns() // 1000 - round(age * SECOND_US)
        with redis.pipeline() as pipeline:
            for command in self.commands:
                pipeline.execute_command(*(_value(part, now_us) for part in command))
            pipeline.execute()


def record(redis: Redis, hide: Callable[[str], str]) -> list[list[Text]]:
    """Return the commands that make an empty server what this one is.

    Args:
        redis: Nobody else may write meanwhile.
        hide: Takes out of a text what is of this machine.
    """
    now_us = time.time_ns() // 1000
    return [
        [_text(part, command[1], now_us, hide) for part in command]
        for key in sorted(redis.scan_iter(count=1000))
        for command in _commands(redis, key)
    ]


def _commands(redis: Redis, key: bytes) -> Iterator[list[bytes]]:
    kind = redis.type(key)
    assert kind in COMMANDS, f"{key!r} is a {kind!r}: say in COMMANDS how it is recorded"
    name, read = COMMANDS[kind]
    for arguments in read(redis, key):
        yield [name, key, *arguments]
    if (ends_ms := redis.pexpiretime(key)) > 0:
        yield [b"PEXPIREAT", key, str(ends_ms).encode()]


def _scored(redis: Redis, key: bytes) -> Iterator[list[bytes]]:
    for member, score in redis.zrange(key, 0, -1, withscores=True):
        yield [_score(score), member]


def _entries(redis: Redis, key: bytes) -> Iterator[list[bytes]]:
    for entry, fields in redis.xrange(key):
        yield [entry, *(part for pair in fields.items() for part in pair)]


COMMANDS: dict[bytes, tuple[bytes, Callable[[Redis, bytes], Any]]] = {
    b"string": (b"SET", lambda redis, key: [[redis.get(key)]]),
    b"hash": (b"HSET", lambda redis, key: sorted(redis.hgetall(key).items())),
    b"list": (b"RPUSH", lambda redis, key: [redis.lrange(key, 0, -1)]),
    b"set": (b"SADD", lambda redis, key: [sorted(redis.smembers(key))]),
    b"zset": (b"ZADD", _scored),
    b"stream": (b"XADD", _entries),
}
"""By type of the key, the command, and the arguments of each call of it."""


def _score(score: float) -> bytes:
    if score in (float("inf"), float("-inf")):
        return b"+inf" if score > 0 else b"-inf"
    return (str(int(score)) if score == int(score) else f"{score:.6f}").encode()


def _text(value: bytes, key: bytes, now_us: int, hide: Callable[[str], str]) -> Text:
    if value != key and STATE_KEY.search(key.decode()) and len(value) % 8 == 0:
        doubles = struct.unpack(f">{len(value) // 8}d", value)
        return {"doubles": [_marked(f"{number:.0f}", now_us) for number in doubles]}
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
    if slot := SLOT_KEY.fullmatch(text):
        return f"{slot[1]}{{slot:{int(slot[2]) - now_us // SLOT_US:+d}}}"
    return _marked(hide(text), now_us)


def _marked(text: str, now_us: int) -> str:
    return TIME.sub(lambda found: _mark(found, now_us), text)


def _mark(found: re.Match[str], now_us: int) -> str:
    unit, text = next((unit, text) for unit, text in found.groupdict().items() if text)
    if unit == "utc":
        moment = datetime.strptime(text, UTC_FORM).replace(tzinfo=UTC)
        us = (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
    else:
        us = round(float(text) * SECOND_US) if unit == "s" else int(text) * (1000, 1)[unit == "us"]
    if abs(us - now_us) > NEAR_US:
        return found[0]
    passed_us = us - now_us
    match unit:
        case "ms":
            return f"{{ms:{us // 1000 - now_us // 1000:+d}}}"
        case "s" if "." in text:
            return f"{{s:{passed_us / SECOND_US:+.6f}}}"
        case "s":
            return f"{{s:{us // SECOND_US - now_us // SECOND_US:+d}}}"
    return f"{{{unit}:{passed_us:+d}}}"


def _value(part: Text, now_us: int) -> bytes:
    match part:
        case {"base64": text}:
            return base64.b64decode(text)
        case {"doubles": texts}:
            return struct.pack(f">{len(texts)}d", *(float(_timed(t, now_us)) for t in texts))
        case str():
            return _timed(part, now_us).encode()
    raise AssertionError(f"no recording has {part!r}")


def _timed(text: str, now_us: int) -> str:
    return MARK.sub(lambda found: _time(found[1], found[2], now_us), text)


def _time(unit: str, number: str, now_us: int) -> str:
    match unit:
        case "us":
            return str(now_us + int(number))
        case "ms":
            return str(now_us // 1000 + int(number))
        case "s" if "." in number:
            return f"{(now_us + round(float(number) * SECOND_US)) / SECOND_US:.6f}"
        case "s":
            return str(now_us // SECOND_US + int(number))
        case "slot":
            return str(now_us // SLOT_US + int(number))
    return datetime.fromtimestamp((now_us + int(number)) / SECOND_US, UTC).strftime(UTC_FORM)
