"""What ``spigot up`` says once it serves: where to look, and what to try."""

from dataclasses import dataclass

from spigot.runtime.settings import Settings

EXAMPLE = """\
  curl -i {url}/enqueue -H 'Content-Type: application/json' \\
    -d '{{"id": 1, "job_priority": 1, "job_type": 2, "job_publisher":
         "mobile_app", "data": "this is my message from mobile app"}}'
"""
STATUS = "  curl -i {url}/api/status\n"

ANNOUNCEMENT = """
Spigot is running. Ctrl-C stops it.

  live page   {url}/
  log in      {log_in}
  API         {url}
  API docs    {url}/docs
  dashboard   {dashboard}
  workers     {workers}
  result log  {result_log}
  apps        {apps}
  server      {server}

Try it in a second shell:

{example}"""


@dataclass(frozen=True, slots=True)
class Running:
    """What runs.

    Attributes:
        url: Of the API.
        server: Description of the server, without a password.
        workers: How many there are, by bucket.
        command: How the user starts ``spigot`` in another shell.
        made_up_password: Of the admin; None if it was not made up.
    """

    url: str
    server: str
    workers: str
    command: str = "spigot"
    made_up_password: str | None = None


def announcement(settings: Settings, running: Running) -> str:
    """Return what ``spigot up`` prints once everything runs; it fits a terminal of 80 x 24."""
    with_messages = {"spigot.examples", "spigot.examples.messages"} & set(settings.apps)
    return ANNOUNCEMENT.format(
        url=running.url,
        log_in=_log_in(settings, running),
        dashboard=_dashboard(settings, running),
        workers=running.workers,
        result_log=settings.result_log_path,
        apps=", ".join(settings.apps),
        server=running.server,
        example=(EXAMPLE if with_messages else STATUS).format(url=running.url),
    )


def _log_in(settings: Settings, running: Running) -> str:
    has_admin = running.made_up_password or settings.admin_password
    return f"{running.command} open" if has_admin else "off: set SPIGOT_ADMIN_PASSWORD"


def _dashboard(settings: Settings, running: Running) -> str:
    address = f"{running.url}/rq/"
    if running.made_up_password:
        return f"{address}  (user admin, password {running.made_up_password})"
    if settings.admin_password:
        return f"{address}  (user admin, your password)"
    return "off: set SPIGOT_ADMIN_PASSWORD"
