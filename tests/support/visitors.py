"""Clients that talk to Spigot over HTTP, each from an address of its own."""

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 60
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Message
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Visitor:
    """One client; the server must trust this machine as a proxy.

    Args:
        url: Of the server.
        address: None takes one that no other visitor of this run has.
    """

    def __init__(self, url: str, address: str | None = None) -> None:
        self._netloc = urlsplit(url).netloc
        self.address = address or str(IPv4Address("10.0.0.0") + next(_numbers))

    def get(self, path: str) -> Answer:
        return self._call("GET", path, None, {})

    def post(self, path: str, body: Any = None) -> Answer:
        if body is None:
            return self._call("POST", path, None, {})
        return self._call("POST", path, json.dumps(body), {"Content-Type": "application/json"})

    def _call(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        connection = HTTPConnection(self._netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, {"X-Forwarded-For": self.address, **headers})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()


def at_once(times: int, call: Callable[[int], Answer]) -> list[Answer]:
    """Make so many calls at the same time; each is given its number."""
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(call, range(times)))
