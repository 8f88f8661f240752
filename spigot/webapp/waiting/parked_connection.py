"""One connection whose client waits, as the connection loop sees it."""

import socket
import time
from contextlib import suppress

from spigot.webapp.serving.client_deadlines import seconds_for

from .waiting_response import WaitingResponse

MOST_UNSENT_BYTES = 1 << 20
"""A client that is so far behind is dropped: it comes back and gets the present state."""

CHUNK_BYTES = 1 << 16


class ParkedConnection:
    """Sends the bytes of its response as fast as the client takes them, and never waits.

    Args:
        client: The socket; it is closed by ``close``.
        response: Whose bytes are sent.
        opening: What to send first.
    """

    def __init__(self, client: socket.socket, response: WaitingResponse, opening: bytes) -> None:
        client.setblocking(False)
        self.response = response
        self.socket = client
        self._unsent = bytearray(opening)
        self._is_behind = False
        self._behind_since = time.monotonic()
        self._taken = 0

    @property
    def has_unsent(self) -> bool:
        """Whether the client has not yet taken all bytes."""
        return bool(self._unsent)

    @property
    def is_done(self) -> bool:
        """Whether the whole response was sent."""
        return self.response.ended and not self._unsent

    @property
    def is_stalled(self) -> bool:
        """Whether the client is gone without closing the connection, or reads too slowly."""
        return self.has_unsent and time.monotonic() > self.due

    @property
    def due(self) -> float:
        """Monotonic seconds at which the client must have taken more of what is kept."""
        return self._behind_since + seconds_for(self._taken)

    def send(self, text: bytes) -> None:
        """Send, or keep for later what the client does not take now.

        Raises:
            OSError: The client is gone, or too far behind.
        """
        if text and len(self._unsent) > MOST_UNSENT_BYTES:
            raise BrokenPipeError("the client is too far behind")
        was_behind = self._is_behind
        self._unsent += text
        self.flush()
        if not was_behind:  # what the system took at once, into its own memory, nobody has read
            self._behind_since, self._taken = time.monotonic(), 0

    def flush(self) -> None:
        """Send what is kept.

        Raises:
            OSError: The client is gone.
        """
        with suppress(BlockingIOError):
            while self._unsent:
                sent = self.socket.send(self._unsent[:CHUNK_BYTES])
                del self._unsent[:sent]
                self._taken += sent
        self._is_behind = self.has_unsent

    def on_readable(self) -> None:
        """Read what the client sends, which is ignored, or find that it hung up.

        Raises:
            OSError: The client is gone.
        """
        with suppress(BlockingIOError):
            if not self.socket.recv(CHUNK_BYTES):
                raise BrokenPipeError("the client has hung up")

    def finish(self, seconds: float) -> None:
        """Send the rest before the process ends, and wait a little for the client."""
        with suppress(OSError):
            self._unsent += self.response.on_stop()
            self.socket.settimeout(seconds)
            self.socket.sendall(self._unsent)

    def close(self) -> None:
        """Close the connection, after what was sent."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
