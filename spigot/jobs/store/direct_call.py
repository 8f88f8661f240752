"""Calls a script with little between it and its connection: less than half of redis-py's time.

The connection comes from the client's pool and goes back to it: an idle one that is as it should
be straight from the pool's list, which takes a quarter of the time of asking for it; any other the
long way, in which redis-py mends it. What redis-py does around a call, measuring for OpenTelemetry
and counting attempts, is left out. The door has a way that is shorter still, with connections of
its own: ``webapp/door/rate_limits/direct_script.py``.
"""

from collections.abc import Callable, Sequence
from functools import partial
from os import getpid
from typing import Any

import hiredis
from redis import ConnectionPool, Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError, ResponseError

from spigot.runtime.server.redis_connection import is_ready


def takes_direct_calls(redis: Redis) -> bool:
    """Return whether a direct call of this client does what redis-py's own way does.

    Not if the client tries anything again by itself, keeps answers, has one connection for
    all, is told new credentials while it is connected, has a pool that counts otherwise, or is none
    of redis-py's, such as a simulated one.
    """
    if type(redis) is not Redis or redis.connection is not None:
        return False
    pool: Any = redis.connection_pool
    if type(pool) is not ConnectionPool or pool.connection_kwargs.get("credential_provider"):
        return False
    retry = pool.connection_kwargs.get("retry")
    return pool.cache is None and retry is not None and retry.get_retries() == 0


def call_directly(script: Script, call: bytes) -> Any:
    """Run a script once, and load it first where the server does not have it.

    Args:
        script: Whose client takes direct calls.
        call: The command, packed.

    Raises:
        redis.RedisError: It is not known whether the script ran.
    """
    return _on_a_connection(script.registered_client, partial(_ask, call=call, script=script))


def send_together(redis: Redis, calls: Sequence[bytes]) -> list[Any]:
    """Send commands in one packet, and return their replies; of one that was refused, the error.

    Args:
        redis: A client that takes direct calls.
        calls: The commands, packed.

    Raises:
        redis.RedisError: It is not known which of them ran.
    """
    replies: list[Any] = _on_a_connection(redis, partial(_send_all, calls=calls))
    return replies


def send_ahead(redis: Redis, call: bytes) -> Callable[[], Any]:
    """Send a command whose reply is wanted later.

    Args:
        redis: A client that takes direct calls. Until then it has one connection less.
        call: The command, packed.

    Returns:
        Waits for the reply, and returns it; to be called once, by the thread that sent.

    Raises:
        redis.RedisError: It is not known whether the command ran.
    """
    connection, give_back = _connection_of(redis)
    try:
        connection.send_packed_command((call,))
    except BaseException:
        connection.disconnect()
        give_back(connection)
        raise
    return partial(_ask_on, connection, give_back, _read)


def _on_a_connection(client: Any, ask: Callable[[Any], Any]) -> Any:
    return _ask_on(*_connection_of(client), ask)


def _connection_of(client: Any) -> tuple[Any, Callable[[Any], None]]:
    """Return a connection, and what gives it back."""
    pool = client.connection_pool  # whose connections redis-py leaves untyped
    connection = _take_idle(pool)
    if connection is None:
        return pool.get_connection(), pool.release
    return connection, pool._available_connections.append


def _take_idle(pool: Any) -> Any:
    """Return a connection that can be used as it is; None if redis-py has to see to it.

    Lists are safe for threads. Until it goes back, the pool does not know of the connection:
    whoever closes the client meanwhile leaves it open, until the pool is thrown away.
    """
    if pool.pid != getpid():  # a fork: the pool empties itself when it is asked
        return None
    try:
        connection = pool._available_connections.pop()
    except IndexError:
        return None
    is_usable = False
    try:
        is_usable = is_ready(connection)
    finally:
        if not is_usable:
            pool._available_connections.append(connection)
    return connection if is_usable else None


def _ask_on(connection: Any, give_back: Callable[[Any], None], ask: Callable[[Any], Any]) -> Any:
    has_answered = False
    try:
        reply = ask(connection)
        has_answered = True
        return reply
    except ResponseError:
        has_answered = True
        raise
    finally:
        if not has_answered:  # nobody else may read what still comes
            connection.disconnect()
        give_back(connection)


def _ask(connection: Any, call: bytes, script: Script) -> Any:
    try:
        return _send(connection, call)
    except NoScriptError:  # the server was restarted, or its scripts were flushed
        load: Any = ("SCRIPT", "LOAD", script.script)
        _send(connection, hiredis.pack_command(load))
        return _send(connection, call)


def _send(connection: Any, packed: bytes) -> Any:
    connection.send_packed_command((packed,))
    return _read(connection)


def _read(connection: Any) -> Any:
    return connection.read_response()


def _send_all(connection: Any, calls: Sequence[bytes]) -> list[Any]:
    connection.send_packed_command((b"".join(calls),))
    return [_reply_or_refusal(connection) for _ in calls]


def _reply_or_refusal(connection: Any) -> Any:
    try:
        return _read(connection)
    except ResponseError as refusal:
        return refusal
