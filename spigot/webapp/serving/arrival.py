"""One request as it arrives: it is served once all of it is there, or cannot be any more.

Only its end is looked for here. What is wrong with a request is said by gunicorn's parser, which
gets the same bytes.
Source: RFC 9112, sections 6 (the end of a body) and 7.1 (chunks).
"""

import re
from enum import Enum, auto
from string import hexdigits

from .client_deadlines import seconds_for

MOST_HEAD_BYTES = 1 << 16
MOST_LINE_BYTES = 1 << 13

OVERHEAD = 2
"""A body in chunks may be so many times as long as what is in them, and a head's length more."""

LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,18})[ \t]*\r?$")
CHUNKED = re.compile(rb"(?im)^transfer-encoding:[^\r\n]*chunked")
CONTINUE = re.compile(rb"(?im)^expect:[ \t]*100-continue[ \t]*\r?$")
HEX = frozenset(hexdigits.encode())


class State(Enum):
    """How much of a request is there."""

    HEAD = auto()
    """Not even its head."""

    BODY = auto()
    """The head, and a part of the body."""

    WHOLE = auto()
    """All of it; or so much that the parser will find a fault in it."""

    LONG_HEAD = auto()
    """A head that is longer than any is allowed to be."""

    LONG_BODY = auto()
    """The head, and a body that is longer than any is allowed to be."""


class Arrival:
    """The bytes of one request so far.

    Args:
        begun_at: Monotonic seconds.
        most_body_bytes: A longer body is not waited for.
    """

    def __init__(self, begun_at: float, most_body_bytes: int) -> None:
        self.state = State.HEAD
        self.begun_at = begun_at
        self.data = bytearray()
        self.wants_continue = False
        self._most = most_body_bytes
        self._looked = 0
        self._length: int | None = None
        self._body_at = 0
        self._in_chunks = 0

    @property
    def due(self) -> float:
        """Monotonic seconds at which more must have arrived."""
        return self.begun_at + seconds_for(len(self.data))

    @property
    def waits(self) -> bool:
        """Whether more is to be waited for."""
        return self.state in (State.HEAD, State.BODY)

    def add(self, data: bytes) -> None:
        """Take note of further bytes."""
        self.data += data
        if self.state is State.HEAD:
            self._look_for_head()
        if self.state is State.BODY:
            self._look_for_end()

    def _look_for_head(self) -> None:
        end = self.data.find(b"\r\n\r\n", max(0, self._looked - 3))
        self._looked = len(self.data)
        if end < 0:
            if len(self.data) > MOST_HEAD_BYTES:
                self.state = State.LONG_HEAD
            elif self.data and not self.data[:1].isalpha() and self.data[:1] != b"\r":
                self.state = State.WHOLE  # no request: TLS, or noise
            return
        head = bytes(self.data[: end + 2])
        self.state = State.BODY
        self._body_at = self._looked = end + 4
        self.wants_continue = bool(CONTINUE.search(head))
        if not CHUNKED.search(head):
            lengths = LENGTH.findall(head)
            self._length = int(lengths[0]) if lengths else 0

    def _look_for_end(self) -> None:
        if self._length is None:
            self._follow_chunks()
        elif self._length > self._most:
            self.state = State.LONG_BODY
        elif len(self.data) >= self._body_at + self._length:
            self.state = State.WHOLE
        longest = self._body_at + OVERHEAD * self._most + MOST_HEAD_BYTES
        if self.state is State.BODY and len(self.data) > longest:
            self.state = State.LONG_BODY

    def _follow_chunks(self) -> None:
        while self._looked <= len(self.data):
            end = self.data.find(b"\r\n", self._looked)
            if end < 0:
                if len(self.data) - self._looked > MOST_LINE_BYTES:
                    self.state = State.WHOLE
                return
            digits = self.data[self._looked : end].partition(b";")[0].strip()
            if not digits or len(digits) > 16 or not HEX.issuperset(digits):
                self.state = State.WHOLE
                return
            size = int(digits, 16)
            if size == 0:
                self._look_for_trailers(end)
                return
            self._in_chunks += size
            if self._in_chunks > self._most:
                self.state = State.LONG_BODY
                return
            self._looked = end + 2 + size + 2

    def _look_for_trailers(self, end: int) -> None:
        if self.data.find(b"\r\n\r\n", end) >= 0 or len(self.data) - end > MOST_HEAD_BYTES:
            self.state = State.WHOLE
