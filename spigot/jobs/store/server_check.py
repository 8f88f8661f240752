"""Whether a server serves, and lets its user do all that is needed."""

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from spigot.runtime.errors import OperatorError
from spigot.runtime.server.primary_connection import is_not_primary
from spigot.runtime.server.redis_connection import connect, is_away
from spigot.runtime.server.sentinel_primary import PrimaryUnknownError
from spigot.runtime.server.server_faults import explain
from spigot.runtime.server.server_url import without_password

from .primary_watch import ask_for_writes
from .server_rights import find_missing_rights

CHECK_SECONDS = 2.0
"""How long the server may take to answer."""


class ServerUnreachableError(OperatorError):
    """The server does not serve; the message has its URL without the password, and the reason."""


def check_server(
    url: str, *, may_be_away: bool = False, door_only: bool = False, waits: bool = False
) -> None:
    """Ask the server at ``url`` whether it serves, and its user whether it may do all it has to.

    A server that is full or cannot write its files passes: workers help it.

    Args:
        url: Of the server.
        may_be_away: Whether one passes that may serve later.
        door_only: Whether the server keeps nothing but what the door does.
        waits: Whether replicas are waited for, which is a right more.

    Raises:
        ServerUnreachableError: It does not serve, or not all that is needed; the message is one
            line, and says what to do.
    """
    shown = without_password(url)
    try:
        with connect(url, timeout=CHECK_SECONDS) as redis:
            missing = find_missing_rights(redis, door_only=door_only, waits=waits)
            if missing:
                raise ServerUnreachableError(f"the server {shown} {missing.fault()}")
            ask_for_writes(redis)
    except RedisError as error:
        if _may_pass(error, may_be_away):
            return
        raise ServerUnreachableError(f"the server {shown} {explain(error)}") from error


def _may_pass(error: RedisError, may_be_away: bool) -> bool:
    if isinstance(error, AuthenticationError) or not is_away(error):
        return False
    if isinstance(error, PrimaryUnknownError) and error.is_refusal:
        return False
    return may_be_away or (isinstance(error, ResponseError) and not is_not_primary(error))
