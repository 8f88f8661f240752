"""Counts what goes to the server, so that promises about cost do not depend on the clock."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from unittest.mock import patch

from redis import Redis
from redis.connection import AbstractConnection


@contextmanager
def counted_round_trips() -> Iterator[list[bytes]]:
    """Collect each packet that this thread sends to any Redis server."""
    sent: list[bytes] = []
    this_thread = threading.get_ident()  # those of earlier tests may still write what they counted
    send = AbstractConnection.send_packed_command

    def counted(connection, command, check_health=True):
        if threading.get_ident() != this_thread:
            return send(connection, command, check_health)
        parts = [command] if isinstance(command, (bytes, str)) else list(command)
        sent.append(b"".join(part.encode() if isinstance(part, str) else part for part in parts))
        return send(connection, command, check_health)

    with patch.object(AbstractConnection, "send_packed_command", counted):
        yield sent


def commands_sent_within(redis: Redis, seconds: float) -> int:
    """Return how many commands clients send to the server meanwhile; those in scripts are none."""
    over = ["over"]
    redis.ping()
    with redis.monitor() as monitor:  # type: ignore[no-untyped-call]
        redis.echo("connected")
        while monitor.next_command()["command"] != "ECHO connected":
            pass
        timer = threading.Timer(seconds, redis.echo, over)
        timer.start()
        sent = takewhile(lambda each: each["command"] != "ECHO over", monitor.listen())
        count = sum(each["client_type"] != "lua" for each in sent)
        timer.join()
    return count


def commands_done(redis: Redis) -> int:
    """Return how many commands the server did, for whomever; those in scripts too."""
    return sum(command["calls"] for command in redis.info("commandstats").values())
