"""The command ``spigot up``: server, web and workers on one machine, as one program."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import click

from spigot.jobs.bucket.config import load_bucket_configs
from spigot.jobs.store.server_check import check_server
from spigot.jobs.types.app_choice import choose_apps
from spigot.jobs.types.app_modules import refuse_missing_app
from spigot.runtime.errors import OperatorError
from spigot.runtime.listening_socket import ListenError, listen, local_url
from spigot.runtime.log_setup import set_up_logging
from spigot.runtime.missing_files import refuse_missing_file, tell_missing_files
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_url import ServerUrlFile, find_server_url, without_password
from spigot.runtime.settings import Settings, load_settings
from spigot.runtime.stop_signals import StopRequested
from spigot.runtime.whole_number import WholeNumber
from spigot.webapp.door.rate_limits.rules_file import read_rules

from .admin_password import make_password
from .announcement import Running, announcement
from .app_files import AppFiles, roots_of
from .child import Child, ChildEndedError
from .embedded_server import EmbeddedServer, EmbeddedServerError
from .expected_workers import ExpectedWorkers
from .own_command import own_command
from .reloading import LOOK_SECONDS, Reloading
from .server_program import find_server_program
from .supervisor import Supervisor
from .web_url import find_running, published_url

log = logging.getLogger(__name__)

# -P: what lies in the current folder must not stand in for our packages.
SPIGOT = (sys.executable, "-P", "-m", "spigot")
WEB = (*SPIGOT, "web", "--under-up")
WORKERS = (*SPIGOT, "worker", "--under-up")

SERVER_START_SECONDS = 600.0
"""A server that has many jobs to load takes its time."""
START_SECONDS = 60.0
WEB_STOP_SECONDS = 8.0
GIVE_BACK_SECONDS = 8.0
"""Time the workers have after the grace: they give jobs back, and are killed if they do not."""


class AlreadyRunsError(OperatorError):
    """Another Spigot is in the way; the message says where it is."""


@dataclass(frozen=True, slots=True)
class _Server:
    """The server of this run.

    Attributes:
        url: Of the server.
        description: What to tell the user.
        environment: What web and workers have to be told.
        made_up_password: Of the admin, if nobody set one.
    """

    url: str
    description: str
    environment: Mapping[str, str]
    made_up_password: str | None = None


@click.command(epilog="Example: spigot up --port 9000 --workers 4")
@click.option("--host", help="Address the API listens on; HOST, or 127.0.0.1.")
@click.option("--port", type=int, help="Port the API listens on; PORT, or 8000.")
@click.option("--workers", type=WholeNumber(min=1), help="Workers for each bucket.")
@click.option("--reload", is_flag=True, help="Start web and workers anew when your files change.")
def up(host: str | None, port: int | None, workers: int | None, reload: bool) -> None:
    """Run server, API and workers on this machine until told to stop.

    Without REDIS_URL, it starts a server of its own, whose files are in SPIGOT_DATA_DIR.
    """
    given = {"host": host, "port": port}
    settings = load_settings(**{name: v for name, v in given.items() if v is not None})
    set_up_logging(settings.log_format)
    settings = settings.model_copy(update={"apps": choose_apps(settings)})
    count = () if workers is None else ("--count", str(workers))
    run(settings, web=WEB, workers=(*WORKERS, *count), reload=reload)


def run(
    settings: Settings, *, web: Sequence[str], workers: Sequence[str], reload: bool = False
) -> None:
    """Start server, workers and web, in this order, and stop them in the reverse when told to.

    Args:
        settings: Ours.
        web: Command that serves the API; it gets ``--host`` and ``--port``.
        workers: Command that runs the workers.
        reload: Whether to start both anew when the application's files change.

    Raises:
        OperatorError: Something could not be started, or web or server ended.
    """
    _refuse_second(settings)
    refuse_missing_file(settings, "rate_limits", "buckets")
    tell_missing_files(settings)
    # A fault in a file is told once, before anything starts; so is a module that is nowhere.
    for app in settings.apps:
        refuse_missing_app(app)
    load_bucket_configs(settings.buckets, optional=settings.is_unset("buckets"))
    read_rules(settings.rate_limits, optional=settings.is_unset("rate_limits"))
    host, port = _free_address(settings)
    url = local_url(host, port)
    with (
        suppress(StopRequested),
        _supervised_server(settings) as (supervisor, server),
        published_url(settings.data_dir, url),
        connect(server.url, timeout=1) as redis,
        ExpectedWorkers(redis) as expected,
    ):
        apps = {"SPIGOT_APPS": ",".join(settings.apps)}  # chosen once, and so told once
        environment = {**os.environ, **apps, **server.environment}
        supervisor.start(_workers_child(workers, settings, environment, expected.fileno()))
        # An application that cannot be imported is told by the workers, and not by the web as well.
        supervisor.wait_until(expected.are_told, START_SECONDS)
        supervisor.start(_web_child(web, host, port, environment))
        supervisor.wait_until(lambda: api_answers(url), START_SECONDS)
        supervisor.wait_until(expected.are_up, START_SECONDS)
        running = Running(
            url, server.description, expected.in_words(), own_command(), server.made_up_password
        )
        click.echo(announcement(settings, running))
        if reload:
            reloading = Reloading(supervisor, AppFiles(roots_of(settings.apps)), environment)
            supervisor.run(reloading.look, LOOK_SECONDS)
        supervisor.run()


def _workers_child(
    command: Sequence[str], settings: Settings, environment: Mapping[str, str], plan_pipe: int
) -> Child:
    """Return the child that runs the workers, which tells how many there are to be."""
    options = {"env": environment, "pass_fds": [plan_pipe]}
    grace = settings.grace_seconds + GIVE_BACK_SECONDS
    command = (*command, "--tell-plan", str(plan_pipe))
    return Child("workers", command, grace, restart=True, options=options)


def _web_child(
    command: Sequence[str], host: str, port: int, environment: Mapping[str, str]
) -> Child:
    command = (*command, "--host", host, "--port", str(port))
    return Child("web", command, WEB_STOP_SECONDS, options={"env": environment})


def api_answers(url: str) -> bool:
    """Return whether the API at ``url`` serves."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=1)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _refuse_second(settings: Settings) -> None:
    """Say where Spigot runs already, if a second one would be in its way."""
    first = find_running(settings.data_dir)
    wanted = local_url(settings.host, settings.port)
    if first and first.text and (not settings.redis_url or first.text == wanted):
        raise AlreadyRunsError(
            f"Spigot runs already (process {first.owner}, data in {settings.data_dir}): "
            f"{first.text}/; stop it, or set SPIGOT_DATA_DIR and PORT for another"
        )


def _free_address(settings: Settings) -> tuple[str, int]:
    """Find out before anything is started whether the API can listen, and on which port."""
    try:
        with listen(settings.host, settings.port) as listener:
            host, port = listener.getsockname()[:2]
            return host, port
    except ListenError as error:
        url = local_url(settings.host, settings.port)
        if not api_answers(url):
            raise
        raise AlreadyRunsError(
            f"{error}. A Spigot of another folder seems to run there: {url}/"
        ) from error


@contextmanager
def _supervised_server(settings: Settings) -> Iterator[tuple[Supervisor, _Server]]:
    if settings.redis_url:
        url = find_server_url(settings)
        check_server(url, waits=settings.wait_replicas > 0)
        with Supervisor() as supervisor:
            yield supervisor, _Server(url, without_password(settings.redis_url), {})
    else:
        with ServerUrlFile(settings.data_dir) as file, Supervisor() as supervisor:
            yield supervisor, _start_embedded_server(settings, supervisor, file)


def _start_embedded_server(
    settings: Settings, supervisor: Supervisor, file: ServerUrlFile
) -> _Server:
    server = EmbeddedServer(find_server_program(), settings.data_dir)
    for folder in server.folders_of_other_engines():
        log.warning("jobs that wait in %s stay there: another engine is used now", folder)
    supervisor.start(server.child(file.fileno()))
    try:
        supervisor.wait_until(server.answers, SERVER_START_SECONDS)
    except ChildEndedError as error:
        raise EmbeddedServerError(f"{error}: {server.log_tail()}") from error
    file.publish(server.url)
    password = None if settings.admin_password else make_password(settings.data_dir)
    environment = {"REDIS_URL": server.url}
    if password:
        environment["SPIGOT_ADMIN_PASSWORD"] = password
    description = f"{server.program}, files in {server.folder}"
    return _Server(server.url, description, environment, password)
