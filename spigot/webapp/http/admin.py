"""Who the admin is: the user ``admin`` with the password of the settings, by HTTP Basic."""

from hmac import compare_digest

from flask import Request, abort, current_app, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

CHALLENGE = WWWAuthenticate("basic", {"realm": "Spigot admin", "charset": "UTF-8"})
"""Source: RFC 7617, section 2. werkzeug quotes a realm, as it must be, only if it has a space."""


class Admin:
    """Knows the admin's password.

    Args:
        password: None: there is no admin.
    """

    def __init__(self, password: str | None) -> None:
        self.exists = password is not None
        self._password = (password or "").encode()

    def is_asking(self, request: Request) -> bool:
        """Return whether the request carries the admin's credentials."""
        given = request.authorization
        if not self.exists or given is None or given.type != "basic":
            return False
        user, password = given.username or "", given.password or ""
        return compare_digest(user.encode(), b"admin") & compare_digest(
            password.encode(), self._password
        )


def is_admin(request: Request) -> bool:
    """Return whether the request carries the admin's credentials."""
    admin: Admin = current_app.extensions["admin"]
    return admin.is_asking(request)


def require_admin() -> None:
    """Let the present request pass only if it is the admin's.

    Use it as ``before_request`` of a blueprint, or as the first line of a view.

    Raises:
        NotFound: No admin password is set, so admin routes do not exist.
        Unauthorized: The credentials are missing or wrong.
    """
    admin: Admin = current_app.extensions["admin"]
    if not admin.exists:
        abort(404)
    if not admin.is_asking(request):
        raise Unauthorized("this needs the user admin and its password", www_authenticate=CHALLENGE)


def admin_in_words() -> str:
    """Return who the admin of the present request is, for records of what was changed."""
    return f"admin at {current_app.extensions['door'].client_address()}"
