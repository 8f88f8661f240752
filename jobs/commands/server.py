"""The server that the commands talk to."""

from redis import Redis

from ..enqueueing import REPLY_SECONDS
from ..redis_connection import connect
from ..server_url import find_server_url
from ..settings import load_settings


def connect_to_server() -> Redis:
    """Return a connection to the server that the settings name, or that ``spigot up`` runs.

    Raises:
        OperatorError: A setting cannot be used, or there is no server.
    """
    return connect(find_server_url(load_settings()), timeout=REPLY_SECONDS)
