"""The command ``spigot open``: the overview in a browser, logged in."""

import os
import sys
import webbrowser
from html import escape
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import click

from spigot.runtime.errors import OperatorError
from spigot.runtime.listening_socket import local_url
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.settings import Settings, load_settings
from spigot.runtime.terminal import as_json, print_json
from spigot.webapp.http.sessions import LINK_SECONDS, Sessions

from .admin_password import FILENAME as PASSWORD_FILENAME
from .admin_password import kept_password
from .web_url import find_web_url

REPLY_SECONDS = 5.0
PAGE = "open.html"
REDIRECT = (
    '<!doctype html><meta http-equiv="refresh" content="0; url={url}"><title>Spigot</title>\n'
)


class CannotOpenError(OperatorError):
    """There is no page to open; the message says why and what to do."""


@click.command("open", epilog="Example: spigot open")
@click.option("--url", help="Where the web is, if it is not on this machine.")
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@as_json
def open_page(url: str | None, no_browser: bool, as_json: bool) -> None:
    """Open the overview in a browser, logged in as the admin.

    The link is good for one use within a minute. Without a browser, or with --json, it is printed
    alone.
    """
    settings = load_settings()
    base = (url or find_web_url(settings.data_dir) or _own_url(settings)).rstrip("/")
    made_up = None if settings.admin_password else kept_password(settings.data_dir)
    password = settings.admin_password or made_up
    if password is None:
        _check(f"{base}/livez", base, "")
        if as_json:
            print_json({"url": f"{base}/", "logs_in_for": None})
        else:
            click.echo(f"{base}/\nNobody can log in: no password of the admin is set or kept here.")
        return
    sessions = Sessions(connect(find_server_url(settings), timeout=REPLY_SECONDS), password)
    link = f"{base}/open/{sessions.make_link()}"
    _check(link, base, "it does not know this link: it has another server, password or login")
    if as_json:
        print_json({"url": link, "logs_in_for": LINK_SECONDS})
        return
    shown = not no_browser and _show(link, settings.data_dir)
    click.echo(f"{link}\nlogs you in as the admin, once, for {LINK_SECONDS} s", nl=False)
    click.echo("; it opens in your browser." if shown else ".")
    if made_up:
        path = settings.data_dir / PASSWORD_FILENAME
        click.echo(f"Or log in as user admin, password {made_up} (from {path}).")


def _own_url(settings: Settings) -> str:
    return local_url(settings.host, settings.port)


def _check(address: str, base: str, if_refused: str) -> None:
    """Ask for the page once, which spends no link."""
    if not base.startswith(("http://", "https://")):
        raise CannotOpenError(f"no web answers at {base}: write it like http://127.0.0.1:8000")
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=REPLY_SECONDS):
            return
    except HTTPError as error:
        why = if_refused or f"it answers with {error.code}"
        raise CannotOpenError(f"the web at {base} cannot be used: {why}") from error
    except (OSError, ValueError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        reason = getattr(reason, "strerror", None) or reason
        raise CannotOpenError(
            f"no web answers at {base}: {reason}; start `spigot up`, or name it with --url"
        ) from error


def _show(link: str, folder: Path) -> bool:
    """Have a browser open a file that leads to the link, as others may list its arguments."""
    if not _has_browser():
        return False
    page = (folder / PAGE).absolute()
    try:
        file = os.open(page, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w") as opened:
            os.fchmod(file, 0o600)
            opened.write(REDIRECT.format(url=escape(link)))
    except OSError:  # the link is printed all the same
        return False
    return webbrowser.open(page.as_uri())


def _has_browser() -> bool:
    """Return whether a browser would show up, and none that takes over the terminal."""
    if os.environ.get("BROWSER") or sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
