"""Who looks at a page, and which pages there are for them: what all templates know."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from flask import Flask, current_app, request
from redis import RedisError

from spigot.jobs.overview.reading import OverviewReader
from spigot.runtime.count_text import count_text
from spigot.webapp.http.admin import Admin, has_session, is_admin
from spigot.webapp.http.admin_change import form_token, is_readonly


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks.

    Attributes:
        is_admin: Whether it is the admin.
        admin_exists: Whether anybody can be the admin here.
        has_password: Whether the admin can log in here with a password.
        has_session: Whether there is a session to log out of.
    """

    is_admin: bool
    admin_exists: bool
    has_password: bool
    has_session: bool


FOR_ALL = [("overview.page", "Overview"), ("docs.page", "API")]
FOR_ADMIN = [
    ("overview.page", "Overview"),
    ("jobs_admin.index", "Jobs"),
    ("failures.index", "Failures"),
    ("clients.index", "Clients"),
    ("docs.page", "API"),
]


def init_app(app: Flask) -> None:
    """Let all templates know who looks, and count in words; called by ``create_app``."""
    app.context_processor(_context)
    app.add_template_filter(count_text, "counted")


def viewer() -> Viewer:
    """Return who sent the present request."""
    admin: Admin = current_app.extensions["admin"]
    return Viewer(is_admin(request), admin.exists, admin.has_password, has_session(request))


def _context() -> dict[str, Any]:
    who = viewer()
    pages = FOR_ADMIN if who.is_admin else FOR_ALL
    return {
        "viewer": who,
        "nav_pages": lambda: pages,
        "version": _own_version(),
        "here": request.script_root + request.full_path.rstrip("?"),
        "count_failed": _failed_badge,  # asked for by pages that do not know it already
        "may_change": who.is_admin and not is_readonly(),
        "form_token": form_token() if who.is_admin else "",
    }


@cache
def _own_version() -> str:
    """Return what is installed; looking for it takes longer than a small page."""
    return version("spigot-jobs")


def _failed_badge() -> str:
    """Return how many jobs failed, for a mark beside the link to them; "" for none."""
    reader: OverviewReader = current_app.extensions["overview_reader"]
    try:
        count = reader.count_failed()
    except RedisError:  # the page itself says what is away
        return ""
    return f"{count:,}" if count else ""
