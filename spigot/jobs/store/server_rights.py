"""The rights that Spigot needs on a server, and a probe that finds out which of them are missing.

A user with a right too few is found out at the start: in the midst of a script it would cost a
job. The probe runs each command once, on keys of its own that it removes, because ``ACL DRYRUN``
is an administrator's right and not in 6.2.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from spigot.runtime.errors import OperatorError
from spigot.runtime.server.redis_connection import lone_connection
from spigot.runtime.server.server_faults import ServerFault, too_old

from . import keys

RQ = "rq:"
EVENTS, COMMANDS = keys.job_events(), f"{RQ}pubsub:"
CHANNELS = (EVENTS, f"{COMMANDS}*")
KEY_PATTERNS = tuple(f"{beginning}*" for beginning in (RQ, keys.PREFIX))

SUBSCRIPTIONS = ("SUBSCRIBE", "UNSUBSCRIBE")

DOOR_COMMANDS = frozenset(
    (
        "del", "evalsha", "exec", "expire", "mget", "multi", "pexpireat", "scan", "script|exists",
        "script|load", "set", "time", "zadd", "zincrby", "zrange", "zrem", "zremrangebyrank",
        "zremrangebyscore", "zunion",
    )
)  # fmt: skip
"""What the door alone needs, on keys of Spigot's own."""

Command = tuple[str | int | float, ...]


@dataclass(frozen=True, slots=True)
class MissingRights:
    """What a user may not do, or a server cannot.

    Attributes:
        rights: As ``ACL SETUSER`` takes them.
        unknown: Commands that the server does not know.
    """

    rights: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rights or self.unknown)

    def fault(self) -> ServerFault:
        """Return what is wrong, in words."""
        if self.unknown:
            return too_old(self.unknown)
        rights = " ".join(self.rights)
        return ServerFault(
            f"does not give its user the rights {rights}",
            f"add them: ACL SETUSER NAME {rights}; docs/security.md lists all that are needed",
        )


def probe_commands(token: str) -> list[Command]:
    """Return one call of each command that is needed; they leave nothing behind.

    Args:
        token: Part of the keys' names, so that two probes do not meet.
    """
    place = f"{keys.probe(token)}:"
    text, hash_, list_, set_, zset, stream = (
        place + kind for kind in ("text", "hash", "list", "set", "zset", "stream")
    )
    sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"  # of "return 1"
    return [
        ("SET", text, 1, "PX", 60000), ("EXISTS", text), ("MGET", text),
        ("SETRANGE", text, 1, "1"), ("GET", text),
        ("COPY", text, f"{text}_copy"),
        ("EXPIRE", text, 60), ("TTL", text), ("PERSIST", text), ("PEXPIREAT", text, 1),
        ("HSET", hash_, "a", 1), ("HSETNX", hash_, "a", 1), ("HGET", hash_, "a"),
        ("HMGET", hash_, "a"), ("HGETALL", hash_), ("HKEYS", hash_), ("HLEN", hash_),
        ("HEXISTS", hash_, "a"),
        ("HINCRBY", hash_, "a", 1), ("HINCRBYFLOAT", hash_, "a", 1), ("HRANDFIELD", hash_),
        ("HDEL", hash_, "a"),
        ("RPUSH", list_, "a"), ("LPUSH", list_, "b"), ("LLEN", list_), ("LRANGE", list_, 0, 0),
        ("LINDEX", list_, 0), ("LPOS", list_, "a"), ("LSET", list_, 0, "c"),
        ("LINSERT", list_, "AFTER", "c", "d"), ("LREM", list_, 1, "d"), ("LTRIM", list_, 0, 9),
        ("BLMOVE", list_, list_, "LEFT", "LEFT", 0.01), ("LPOP", list_), ("BLPOP", list_, 0.01),
        ("SADD", set_, "a"), ("SISMEMBER", set_, "a"), ("SMEMBERS", set_),
        ("SRANDMEMBER", set_), ("SREM", set_, "a"),
        ("ZADD", zset, 1, "a"), ("ZCARD", zset), ("ZCOUNT", zset, 0, 1), ("ZINCRBY", zset, 1, "a"),
        ("ZRANGE", zset, 0, 0), ("ZRANGEBYSCORE", zset, 0, 1), ("ZREVRANGE", zset, 0, 0),
        ("ZREVRANGEBYSCORE", zset, 1, 0),
        ("ZSCORE", zset, "a"), ("ZUNION", 1, zset), ("ZREMRANGEBYRANK", zset, 0, 0),
        ("ZREMRANGEBYSCORE", zset, 0, 1), ("ZREM", zset, "a"),
        ("XADD", stream, "*", "a", 1), ("XREVRANGE", stream, "+", "-", "COUNT", 1),
        ("TIME",), ("PING",), ("SCAN", 0), ("WATCH", text), ("UNWATCH",), ("MULTI",), ("EXEC",),
        ("SCRIPT", "LOAD", "return 1"), ("SCRIPT", "EXISTS", sha), ("EVALSHA", sha, 1, text),
        ("PUBLISH", EVENTS, ""), ("PUBLISH", f"{COMMANDS}probe", ""),
        ("EXISTS", f"{RQ}probe:{token}"), ("DEL", f"{RQ}probe:{token}"),
        *(("EXPIRE", key, 60) for key in (hash_, list_, set_, zset, stream)),
        ("UNLINK", f"{text}_copy"), ("DEL", text, f"{text}_copy", hash_, list_, set_, zset, stream),
        *((name, channel) for name in SUBSCRIPTIONS for channel in (EVENTS, f"{COMMANDS}probe")),
    ]  # fmt: skip


def command_name(command: Sequence[Any]) -> str:
    """Return the name as ``ACL SETUSER`` takes it, such as ``script|load``."""
    parts = command[:2] if command[0] == "SCRIPT" else command[:1]
    return "|".join(parts).lower()


class RightsError(OperatorError):
    """The user of the server lacks rights; the message names them in one line."""


def check_rights(redis: Redis, *, waits: bool = False) -> None:
    """Probe what the user of a connection may do.

    Args:
        redis: Tells how to reach the server.
        waits: Whether replicas are waited for, which is a right more.

    Raises:
        RightsError: Not all that is needed.
        redis.RedisError: The server is away, or lets this user not even connect.
    """
    missing = find_missing_rights(redis, waits=waits)
    if missing:
        raise RightsError(f"the server {missing.fault()}")


def find_missing_rights(
    redis: Redis, *, door_only: bool = False, waits: bool = False
) -> MissingRights:
    """Probe what the user of a connection may do, on a connection of its own.

    Args:
        redis: Tells how to reach the server.
        door_only: Whether the server keeps nothing but what the door does.
        waits: Whether replicas are waited for.

    Raises:
        redis.RedisError: The server is away, or lets this user not even connect.
    """
    connection = lone_connection(redis)
    missing = MissingRights()
    commands = probe_commands(secrets.token_hex(8))
    if door_only:
        commands = [command for command in commands if _is_of_door(command)]
    if waits:
        commands = [*commands, ("WAIT", 0, 1)]  # for none, so it answers at once
    try:
        connection.connect()
        connection.send_packed_command(connection.pack_commands(commands))
        for command in commands:
            try:
                _read_reply(connection, command)
            except ResponseError as error:
                _note(missing, command, error)
    finally:
        connection.disconnect()
    return missing


def _is_of_door(command: Command) -> bool:
    return command_name(command) in DOOR_COMMANDS and not str(command[-1]).startswith(RQ)


def _read_reply(connection: Any, command: Command) -> None:
    if command[0] not in SUBSCRIPTIONS:
        connection.read_response()
        return
    wanted = str(command[0]).lower().encode()
    while connection.read_response(push_request=True)[0] != wanted:
        pass  # a job changed just now


def _note(missing: MissingRights, command: Command, error: ResponseError) -> None:
    name, text = command_name(command), str(error)
    if re.search("unknown (sub)?command", text, re.IGNORECASE):
        _add(missing.unknown, name)
    elif not isinstance(error, NoPermissionError) and "NOPERM" not in text:  # as EXEC passes it on
        return  # it was allowed; a command before it was not
    elif re.search(r"\bchannels?\b", text) and "command" not in text:
        _add(missing.rights, f"&{_pattern_of(command[1], CHANNELS)}")
    elif re.search(r"\bkeys?\b", text) and "command" not in text:
        _add(
            missing.rights, f"~{_pattern_of(command[-1 if name == 'evalsha' else 1], KEY_PATTERNS)}"
        )
    else:
        _add(missing.rights, f"+{name}")


def _pattern_of(name: object, patterns: Sequence[str]) -> str:
    """Return the pattern that would have let a name pass; ZUNION's first argument is a number."""
    return next((p for p in patterns if str(name).startswith(p.rstrip("*"))), patterns[-1])


def _add(found: list[str], what: str) -> None:
    if what not in found:
        found.append(what)
