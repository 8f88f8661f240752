"""What ``spigot up`` says once it serves: where to look, and what to try."""

from spigot.runtime.settings import Settings

EXAMPLE = """\
  curl -i {url}/enqueue -H 'Content-Type: application/json' \\
    -d '{{"id": 1, "job_priority": 1, "job_type": 2, "job_publisher": "mobile_app", \
"data": "this is my message from mobile app"}}'
"""
STATUS = "  curl -i {url}/api/status\n"

ANNOUNCEMENT = """
Spigot is running. Ctrl-C stops it.

  live page   {url}/
  API         {url}
  API docs    {url}/docs
  dashboard   {dashboard}
  result log  {result_log}
  apps        {apps}
  server      {server}

Try it:

{example}"""


def announcement(
    settings: Settings, url: str, server: str, made_up_password: str | None = None
) -> str:
    """Return what ``spigot up`` prints once everything runs.

    Args:
        settings: What is served.
        url: Where.
        server: Description of the server, without a password.
        made_up_password: Of the admin; None if it was not made up for this run.
    """
    with_messages = {"spigot.examples", "spigot.examples.messages"} & set(settings.apps)
    return ANNOUNCEMENT.format(
        url=url,
        dashboard=_dashboard(settings, url, made_up_password),
        result_log=settings.result_log_path,
        apps=", ".join(settings.apps),
        server=server,
        example=(EXAMPLE if with_messages else STATUS).format(url=url),
    )


def _dashboard(settings: Settings, url: str, made_up_password: str | None) -> str:
    if made_up_password:
        return f"{url}/rq/  (user admin, password {made_up_password})"
    if settings.admin_password:
        return f"{url}/rq/  (user admin, password as in SPIGOT_ADMIN_PASSWORD)"
    return "off: set SPIGOT_ADMIN_PASSWORD"
