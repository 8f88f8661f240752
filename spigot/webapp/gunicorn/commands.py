"""The command ``spigot web``."""

import logging

import click

from spigot.jobs.bucket import file as bucket_file
from spigot.jobs.store.server_check import check_server
from spigot.runtime.listening_socket import listen, local_url
from spigot.runtime.log_setup import set_up_logging
from spigot.runtime.missing_files import refuse_missing_file, tell_missing_files
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.settings import load_settings
from spigot.webapp.app import create_app
from spigot.webapp.metrics.folder import metrics_folder
from spigot.webapp.serving.descriptors import fit, open_files_limit

from .settings import gunicorn_settings
from .web_server import WebServer

log = logging.getLogger(__name__)


@click.command(epilog="Example: spigot web --port 9000")
@click.option("--host", help="Address to listen on; HOST, or 127.0.0.1.")
@click.option("--port", type=int, help="Port to listen on; PORT, or 8000.")
@click.option("--under-up", is_flag=True, hidden=True)  # which has told what is missing
def web(host: str | None, port: int | None, under_up: bool) -> None:
    """Serve the API until told to stop."""
    given = {"host": host, "port": port}
    settings = load_settings(**{name: v for name, v in given.items() if v is not None})
    set_up_logging(settings.log_format)
    refuse_missing_file(settings, "rate_limits", "buckets")
    if under_up:
        bucket_file.log.setLevel(logging.ERROR)  # the workers of this run warn of the same file
    else:
        tell_missing_files(settings)
    waits = settings.wait_replicas > 0
    check_server(find_server_url(settings), may_be_away=True, waits=waits)
    if settings.limits_redis_url:
        check_server(settings.limits_redis_url, may_be_away=True, door_only=True)
    listener = listen(settings.host, settings.port)
    url = local_url(*listener.getsockname()[:2])
    options = gunicorn_settings(settings, listener.detach())
    options["when_ready"] = lambda arbiter: _tell_readiness(url, settings.web_threads)
    with metrics_folder(settings.data_dir / "metrics"):
        WebServer(create_app, options).run()


def _tell_readiness(url: str, threads: int) -> None:
    log.info("serving %s", url)
    limit = open_files_limit()
    room = fit(limit, threads)
    if room.is_less_than_wanted:
        log.info(
            "a process may open %d files: %d connections and %d waiting clients fit; "
            "raise the limit (ulimit -n, LimitNOFILE=) to 4096 for more",
            limit,
            room.connections,
            room.parked,
        )
