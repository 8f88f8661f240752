"""Lets RQ's own command, ``rq worker``, ask the server that the settings name.

It asks a server whether work is suspended before it makes the worker, and knows neither ``.env``,
``SPIGOT_REDIS_PASSWORD`` and sentinels nor the server of ``spigot up``.
"""

import os
import sys
from typing import Any

import click
from redis import Redis

from spigot.runtime.errors import OperatorError
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.settings import load_settings

COMMAND = ("rq.cli.workers", "worker")
HELPERS = "rq.cli.helpers"
OF_RQ = ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD")
"""Further variables by which RQ's command is told a server."""


def connect_rqs_command(timeout: float) -> None:
    """Give RQ's command the connection of the settings, if it runs now and was told no server.

    RQ loads the worker's class before it connects, so this is called where what the class needs
    is imported.

    Args:
        timeout: Seconds that a reply may take.
    """
    context = click.get_current_context(silent=True)
    if context is None or _name_of(context.command) != COMMAND:
        return
    told = context.params.get("url") or context.params.get("config")
    if told or ("REDIS_URL" not in os.environ and any(map(os.environ.get, OF_RQ))):
        return
    config: Any = sys.modules[HELPERS].CliConfig
    config.connection = property(lambda it: _kept_connection(it, timeout))


def _name_of(command: click.Command) -> tuple[str | None, str | None]:
    return getattr(command.callback, "__module__", None), command.name


def _kept_connection(config: Any, timeout: float) -> Redis:
    if config._connection is None:
        try:
            config._connection = connect(find_server_url(load_settings()), timeout=timeout)
        except OperatorError as error:
            raise SystemExit(str(error)) from error
    connection: Redis = config._connection
    return connection
