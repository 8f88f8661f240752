"""Simulated AI services, each with its own way to count tokens, behind a small HTTP server."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Protocol
from urllib.parse import parse_qsl

Counting = Literal["arrival", "generated", "returned"]
"""When tokens count: all at arrival; as they are generated; or all at arrival, and what was not
used comes back at the end."""


class Limit(Protocol):
    """Counts tokens."""

    def take(self, tokens: float) -> bool:
        """Count them, unless that is too many."""
        ...


@dataclass
class TokenBucket:
    """Refills steadily."""

    rate: float
    burst: float
    level: float = 0.0
    at: float = field(default_factory=time.monotonic)

    def take(self, tokens: float) -> bool:
        """Count them, unless that is too many."""
        now = time.monotonic()
        level = max(0.0, self.level - (now - self.at) * self.rate)
        if tokens > 0 and level + tokens > self.burst:
            return False
        self.level, self.at = max(0.0, level + tokens), now
        return True


@dataclass
class Window:
    """Begins anew every so many seconds."""

    limit: float
    seconds: float
    number: int = -1
    taken: float = 0.0

    def take(self, tokens: float) -> bool:
        """Count them, unless that is too many."""
        number = int(time.monotonic() / self.seconds)
        if number != self.number:
            self.number, self.taken = number, 0.0
        if self.taken + tokens > self.limit:
            return False
        self.taken += tokens
        return True


@dataclass
class Upstream:
    """A service that is asked over HTTP.

    Attributes:
        limit: Counts tokens.
        counting: When they count.
        served: Monotonic seconds and tokens of what was counted.
        refused: How often it said "too many".
    """

    limit: Limit
    counting: Counting
    served: list[tuple[float, float]] = field(default_factory=list)
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, step: str, reserved: float, used: float) -> bool:
        """Serve a step of a call: its ``start``, a quarter that is ``generated``, its ``end``."""
        tokens = self._tokens(step, reserved, used)
        with self.lock:
            if tokens == 0:
                return True
            if not self.limit.take(tokens):
                self.refused += 1
                return False
            self.served.append((time.monotonic(), tokens))
            return True

    def _tokens(self, step: str, reserved: float, used: float) -> float:
        if self.counting == "generated":
            return used / 4 if step == "generated" else 0.0
        if step == "start":
            return reserved
        return used - reserved if step == "end" and self.counting == "returned" else 0.0

    def tokens_between(self, begin: float, end: float) -> float:
        """Return how many tokens were counted between two monotonic moments."""
        return sum(tokens for at, tokens in self.served if begin <= at < end)


@contextmanager
def served(upstream: Upstream) -> Iterator[int]:
    """Serve it on a free port of this machine; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            asked = dict(parse_qsl(query))
            fine = upstream.ask(path[1:], float(asked["reserved"]), float(asked["used"]))
            self.send_response(200 if fine else 429)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
