"""The header ``Idempotency-Key``: a request that is sent again makes no second job.

Source: draft-ietf-httpapi-idempotency-key-header-07; the answers to a key that was used for
another request, and to one that was answered already, are Spigot's.
"""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from flask import current_app, request
from werkzeug.exceptions import BadRequest

from spigot.jobs.job.queue import IdempotencyKey
from spigot.webapp.door.door import Door

IDEMPOTENCY_HEADER = "Idempotency-Key"
KEY = re.compile(r"[\x20-\x7e]{1,255}")


def idempotency_key(*content: Any) -> IdempotencyKey | None:
    """Return the key of the present request, or None if it has none.

    Args:
        *content: JSON values that make the request what it is, such as job type and payload.

    Raises:
        BadRequest: The header is there and is no key.
    """
    name = _name_of_key()
    return None if name is None else IdempotencyKey(name, _fingerprint(content))


@dataclass(frozen=True, slots=True)
class ItemKeys:
    """The keys of the items of a list: the request's key and the item's index."""

    name: str

    @classmethod
    def of_request(cls) -> Self | None:
        """Return those of the present request, or None if it has no key.

        Raises:
            BadRequest: The header is there and is no key.
        """
        name = _name_of_key()
        return None if name is None else cls(name)

    def of(self, index: int, content: Any) -> IdempotencyKey:
        """Return the key of one item.

        Args:
            index: From 0.
            content: JSON values that make the item what it is.
        """
        return IdempotencyKey(f"{self.name}:{index}", _fingerprint(content))


def _name_of_key() -> str | None:
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None:
        return None
    if not KEY.fullmatch(key):
        raise BadRequest(f"{IDEMPOTENCY_HEADER} must have 1 to 255 characters of printable ASCII")
    return _digest(f"{_client()}\n{key}")


def _fingerprint(content: Any) -> str:
    return _digest(json.dumps(content, sort_keys=True, default=str))


def _client() -> str:
    """Whose key it is: the keys of one client say nothing about those of another."""
    door: Door = current_app.extensions["door"]
    return door.owner()


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
