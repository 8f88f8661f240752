"""Who the admin is: whoever knows the password or is logged in, or whom an application names."""

import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from flask import Request, abort, current_app, request
from redis import RedisError
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from .same_origin import is_foreign_change
from .sessions import Sessions, session_cookie

CHALLENGE = WWWAuthenticate("basic", {"realm": "Spigot admin", "charset": "UTF-8"})
"""Source: RFC 7617, section 2. werkzeug quotes a realm, as it must be, only if it has a space."""

PROOF = "spigot.admin_proof"
"""Where the WSGI environment has the proof of a request, or the fault in looking for it."""

log = logging.getLogger(__name__)

IsAdmin = Callable[[Request], bool]


@dataclass(frozen=True, slots=True)
class Proof:
    """Why a request counts as the admin's.

    Attributes:
        by: ``password`` (HTTP Basic), ``session`` (a cookie) or ``application`` (its own login).
        binding: A text that no other site and no other session knows, to bind a form to; "" if
            the application logged the admin in, whose sessions are unknown here.
    """

    by: Literal["password", "session", "application"]
    binding: str = ""


class Admin:
    """Tells which requests are the admin's.

    Args:
        password: Of the user ``admin``; None: nobody can log in with one.
        sessions: Of that admin; None if there is no password.
        login: The application's own, called with a request. It stands in place of password and
            sessions.
    """

    def __init__(
        self,
        password: str | None = None,
        sessions: Sessions | None = None,
        login: IsAdmin | None = None,
    ) -> None:
        self.exists = password is not None or login is not None
        self.has_password = password is not None and login is None
        self.sessions = sessions if login is None else None
        self._password = (password or "").encode()
        self._login = login

    def proof(self, request: Request) -> Proof | None:
        """Return why the request is the admin's; None if it is not. It costs one look at most.

        Raises:
            redis.RedisError: Whether a session goes on is unknown.
        """
        if self._login is not None:
            return Proof("application") if self._login(request) else None
        if PROOF not in request.environ:
            request.environ[PROOF] = self._find_proof(request)
        found: Proof | RedisError | None = request.environ[PROOF]
        if isinstance(found, RedisError):
            raise found
        return found

    def is_guess(self, request: Request) -> bool:
        """Return whether the request names the admin with a password that is wrong.

        It may be the admin's all the same, by a session.
        """
        given = request.authorization
        names_admin = given is not None and given.type == "basic" and given.username == "admin"
        return self.has_password and names_admin and not self._knows_password(request)

    def _find_proof(self, request: Request) -> Proof | RedisError | None:
        """The door and the view ask for it: a server that hangs costs one timeout."""
        try:
            return self._proof_of_ours(request)
        except RedisError as error:
            return error

    def _proof_of_ours(self, request: Request) -> Proof | None:
        if not self.has_password:
            return None
        if self._knows_password(request):
            return Proof("password", hmac.digest(self._password, b"form", "sha256").hex())
        token = request.cookies.get(session_cookie(request))
        if not token or self.sessions is None or not self.sessions.is_session(token):
            return None
        return Proof("session", self.sessions.binding(token))

    def _knows_password(self, request: Request) -> bool:
        given = request.authorization
        if given is None or given.type != "basic":
            return False
        user, password = given.username or "", given.password or ""
        return hmac.compare_digest(user.encode(), b"admin") & hmac.compare_digest(
            password.encode(), self._password
        )


def is_admin(request: Request) -> bool:
    """Return whether the request is the admin's, as far as can be known.

    While the server is away, nobody is known to be logged in; the password counts all the same.
    """
    try:
        return admin_proof(request) is not None
    except RedisError as error:
        log.warning("a session of the admin cannot be looked up: %s", error)
        return False


def has_session(request: Request) -> bool:
    """Return whether the request is the admin's by a session, which can be ended."""
    return (
        is_admin(request) and (proof := admin_proof(request)) is not None and proof.by == "session"
    )


def admin_proof(request: Request) -> Proof | None:
    """Return why the request is the admin's; None if it is not.

    Raises:
        redis.RedisError: Whether a session goes on is unknown.
    """
    admin: Admin = current_app.extensions["admin"]
    return admin.proof(request)


def require_admin() -> None:
    """Let the present request pass only if it is the admin's.

    Use it as ``before_request`` of a blueprint, or as the first line of a view.

    Raises:
        NotFound: Nobody can be the admin, so admin routes do not exist.
        Unauthorized: The credentials are missing or wrong.
        Forbidden: A page of another site wants to change something; or the application has a
            login of its own, which does not say that this is the admin.
        redis.RedisError: Whether a session goes on is unknown; answered with 503.
    """
    admin: Admin = current_app.extensions["admin"]
    if not admin.exists:
        abort(404)
    if admin.proof(request) is None:
        if admin.has_password:
            raise Unauthorized(
                "this needs the user admin and its password", www_authenticate=CHALLENGE
            )
        raise Forbidden("this is for the admin: log in with the application first")
    if is_foreign_change(request):
        raise Forbidden("a page of another site may not change anything here")


def admin_in_words() -> str:
    """Return who the admin of the present request is, for records of what was changed."""
    return f"admin at {current_app.extensions['door'].client_address()}"
