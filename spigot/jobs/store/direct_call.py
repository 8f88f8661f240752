"""Calls a script with little between it and its connection: less than half of redis-py's time.

The connection comes from the client's pool and goes back to it. What redis-py does around that,
measuring for OpenTelemetry and counting attempts, is left out. The door has a way that is shorter
still, with connections of its own: ``webapp/door/rate_limits/direct_script.py``.
"""

from collections.abc import Sequence
from typing import Any

import hiredis
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError, ResponseError


def takes_direct_calls(redis: Redis) -> bool:
    """Return whether a direct call of this client does what redis-py's own way does.

    Not if the client tries anything again by itself, keeps answers, has one connection for
    all, or is none of redis-py's, such as a simulated one.
    """
    if type(redis) is not Redis or redis.connection is not None:
        return False
    pool: Any = redis.connection_pool
    retry = pool.connection_kwargs.get("retry")
    return pool.cache is None and retry is not None and retry.get_retries() == 0


def call_directly(script: Script, keys: Sequence[Any], args: Sequence[Any]) -> Any:
    """Run a script once, and load it first where the server does not have it.

    Args:
        script: Whose client takes direct calls.
        keys: Text or bytes.
        args: Text, bytes or numbers.

    Raises:
        redis.RedisError: It is not known whether the script ran.
        TypeError: An argument is none of these; nothing was sent.
    """
    command: Any = ("EVALSHA", script.sha, len(keys), *keys, *args)
    call = hiredis.pack_command(command)
    client: Any = script.registered_client  # whose connections redis-py leaves untyped
    pool = client.connection_pool
    connection = pool.get_connection()
    has_answered = False
    try:
        reply = _ask(connection, call, script)
        has_answered = True
        return reply
    except ResponseError:
        has_answered = True
        raise
    finally:
        if not has_answered:  # nobody else may read what still comes
            connection.disconnect()
        pool.release(connection)


def _ask(connection: Any, call: bytes, script: Script) -> Any:
    try:
        return _send(connection, call)
    except NoScriptError:  # the server was restarted, or its scripts were flushed
        load: Any = ("SCRIPT", "LOAD", script.script)
        _send(connection, hiredis.pack_command(load))
        return _send(connection, call)


def _send(connection: Any, packed: bytes) -> Any:
    connection.send_packed_command((packed,))
    return connection.read_response()
