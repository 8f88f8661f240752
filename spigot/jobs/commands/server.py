"""The server that the commands talk to."""

from redis import Redis

from spigot.jobs.program import REPLY_SECONDS
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.settings import load_settings


def connect_to_server() -> Redis:
    """Return a connection to the server that the settings name, or that ``spigot up`` runs.

    Raises:
        OperatorError: A setting cannot be used, or there is no server.
    """
    return connect(find_server_url(load_settings()), timeout=REPLY_SECONDS)
