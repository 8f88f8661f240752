"""The command ``spigot web``."""

import logging

import click

from jobs.listening_socket import listen, local_url
from jobs.log_setup import set_up_logging
from jobs.settings import load_settings

from . import create_app
from .gunicorn_settings import gunicorn_settings
from .metrics_folder import metrics_folder
from .web_server import WebServer

log = logging.getLogger(__name__)


@click.command(epilog="Example: spigot web --port 9000")
@click.option("--host", help="Address to listen on; HOST, or 127.0.0.1.")
@click.option("--port", type=int, help="Port to listen on; PORT, or 8000.")
def web(host: str | None, port: int | None) -> None:
    """Serve the API until told to stop."""
    given = {"host": host, "port": port}
    settings = load_settings(**{name: v for name, v in given.items() if v is not None})
    set_up_logging(settings.log_format)
    listener = listen(settings.host, settings.port)
    url = local_url(*listener.getsockname()[:2])
    options = gunicorn_settings(settings, listener.detach())
    options["when_ready"] = lambda arbiter: log.info("serving %s", url)
    with metrics_folder(settings.data_dir / "metrics"):
        WebServer(create_app, options).run()
