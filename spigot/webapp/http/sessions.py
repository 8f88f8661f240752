"""Sessions of the admin in browsers, and the links that begin them.

Both are random names that only the browser and whoever ran ``spigot open`` know. Redis keeps an
HMAC of each, with the admin's password as the key: another password ends all of them, and whoever
reads Redis can neither use one nor guess the password from it.
"""

import hmac
import re
import secrets
from hashlib import sha256

from flask import Request
from redis import Redis

from spigot.jobs.store import keys

SESSION_SECONDS = 12 * 3600
LINK_SECONDS = 60

TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
"""128 random bits in base64."""


def session_cookie(request: Request) -> str:
    """Return the name of the cookie that holds a session's token at this address.

    Browsers keep cookies by host alone (RFC 6265, section 8.5), so port and prefix are in the
    name: logging in to one Spigot leaves the sessions of others on the same machine alone.
    """
    address = f"{request.host}{request.script_root}"
    return f"spigot_session_{sha256(address.encode()).hexdigest()[:8]}"


class Sessions:
    """Begins, finds and ends sessions.

    All methods may raise ``redis.RedisError``.

    Args:
        redis: Connection to the server of the queue side.
        password: Of the admin.
    """

    def __init__(self, redis: Redis, password: str) -> None:
        self._redis = redis
        self._password = password.encode()

    def make_link(self) -> str:
        """Return the token of a new link, which begins one session within ``LINK_SECONDS``."""
        token = secrets.token_urlsafe(16)
        self._redis.set(keys.login_link(self._digest("link", token)), 1, ex=LINK_SECONDS)
        return token

    def is_link(self, token: str) -> bool:
        """Return whether a link can still begin a session; asking does not spend it."""
        return self._is_kept(keys.login_link(self._digest("link", token)), token)

    def begin(self, link: str) -> str | None:
        """Spend a link on a session.

        Returns:
            The token of the session; None if the link was spent, or is too old, or never was.
        """
        if not TOKEN.fullmatch(link):
            return None
        if not self._redis.delete(keys.login_link(self._digest("link", link))):
            return None
        token = secrets.token_urlsafe(16)
        self._redis.set(self._session_key(token), 1, ex=SESSION_SECONDS)
        return token

    def is_session(self, token: str) -> bool:
        """Return whether a session has neither ended nor grown too old."""
        return self._is_kept(self._session_key(token), token)

    def end(self, token: str) -> None:
        """End a session."""
        self._redis.delete(self._session_key(token))

    def binding(self, token: str) -> str:
        """Return what a form of this session may be bound to; the token cannot be told from it."""
        return self._digest("form", token)

    def _is_kept(self, key: str, token: str) -> bool:
        return TOKEN.fullmatch(token) is not None and bool(self._redis.exists(key))

    def _session_key(self, token: str) -> str:
        return keys.session(self._digest("session", token))

    def _digest(self, purpose: str, token: str) -> str:
        return hmac.digest(self._password, f"{purpose} {token}".encode(), "sha256").hex()
