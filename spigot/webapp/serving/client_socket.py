"""A client's connection, which keeps what the client does not read yet."""

import errno
import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Self

from .client_deadlines import seconds_for

MOST_KEPT_BYTES = 1 << 26
"""So much of all answers is kept in a process; beyond that, threads wait for their clients."""

AT_ONCE_BYTES = 1 << 18


class Kept:
    """How many bytes are kept for clients that do not read.

    Args:
        most: How many may be.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Return whether there is room for so many more, and count them."""
        with self._lock:
            if count > self._free:
                return False
            self._free -= count
            return True

    def give_back(self, count: int) -> None:
        """Count so many less."""
        with self._lock:
            self._free += count


KEPT = Kept(MOST_KEPT_BYTES)


class ClientSocket(socket.socket):
    """A socket whose ``sendall`` does not wait for a client that reads slowly.

    What the client does not take at once is kept, for ``flush``.

    Attributes:
        begun_at: Monotonic seconds at which something had to be kept.
        flushed: Bytes that were taken since then.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.begun_at = 0.0
        self.flushed = 0
        self._unsent = bytearray()

    @classmethod
    def take(cls, accepted: socket.socket) -> Self:
        """Take an accepted connection over from the socket that stands for it."""
        family, kind, protocol = accepted.family, accepted.type, accepted.proto
        return cls(family, kind, protocol, fileno=accepted.detach())

    @property
    def has_unsent(self) -> bool:
        """Whether something is kept."""
        return bool(self._unsent)

    @property
    def due(self) -> float:
        """Monotonic seconds at which the client must have taken more."""
        return self.begun_at + seconds_for(self.flushed)

    def sendall(self, data: "bytes | bytearray | memoryview", flags: int = 0, /) -> None:  # type: ignore[override]
        """Send all of it, at once or later.

        Raises:
            BrokenPipeError: Too much is kept, and the client reads too slowly.
            OSError: The client is gone.
        """
        rest = memoryview(data).cast("B")
        if not self._unsent:
            rest = rest[self._send_now(rest) :]
            self.begun_at, self.flushed = time.monotonic(), 0
        while rest and not KEPT.take(len(rest)):
            self._await_reader()
            self.flush()
            if not self._unsent:
                rest = rest[self._send_now(rest) :]
        self._unsent += rest

    def flush(self) -> None:
        """Send what the client takes now of what is kept.

        Raises:
            OSError: The client is gone.
        """
        sent = self._send_now(memoryview(bytes(self._unsent[:AT_ONCE_BYTES])))
        del self._unsent[:sent]
        KEPT.give_back(sent)

    def close(self) -> None:
        """Close it, and forget what is kept."""
        KEPT.give_back(len(self._unsent))
        self._unsent.clear()
        super().close()

    def _send_now(self, data: memoryview) -> int:
        sent = 0
        with suppress(BlockingIOError):
            while sent < len(data):
                sent += self.send(data[sent:], socket.MSG_DONTWAIT)
        self.flushed += sent
        return sent

    def _await_reader(self) -> None:
        left = self.due - time.monotonic()
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        if left <= 0 or not poll.poll(left * 1000):
            raise BrokenPipeError(errno.EPIPE, "the client reads too slowly")
