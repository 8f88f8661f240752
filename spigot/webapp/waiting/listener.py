"""One connection whose client waits, as the thread of the listeners sees it."""

import socket
import time
from contextlib import suppress

from spigot.webapp.serving.pace import seconds_for

from .talk import Talk

MOST_UNSENT_BYTES = 1 << 20
"""A client that is so far behind is dropped: it comes back and gets the present state."""

CHUNK_BYTES = 1 << 16


class Listener:
    """Sends what its talk says, as fast as the client takes it, and never waits.

    Args:
        connection: The socket; it is closed by ``close``.
        talk: What to say.
        opening: What to send first.
    """

    def __init__(self, connection: socket.socket, talk: Talk, opening: bytes) -> None:
        connection.setblocking(False)
        self.talk = talk
        self.connection = connection
        self._unsent = bytearray(opening)
        self._behind_since = time.monotonic()
        self._taken = 0

    @property
    def has_unsent(self) -> bool:
        """Whether the client has not yet taken all that was said."""
        return bool(self._unsent)

    @property
    def is_done(self) -> bool:
        """Whether all has been said and sent."""
        return self.talk.ended and not self._unsent

    @property
    def is_stalled(self) -> bool:
        """Whether the client is gone without a word, or reads too slowly."""
        return self.has_unsent and time.monotonic() > self.due

    @property
    def due(self) -> float:
        """Monotonic seconds at which the client must have taken more of what is kept."""
        return self._behind_since + seconds_for(self._taken)

    def say(self, text: bytes) -> None:
        """Send, or keep for later what the client does not take now.

        Raises:
            OSError: The client is gone, or too far behind.
        """
        if text and len(self._unsent) > MOST_UNSENT_BYTES:
            raise BrokenPipeError("the client is too far behind")
        if not self._unsent:
            self._behind_since, self._taken = time.monotonic(), 0
        self._unsent += text
        self.flush()

    def flush(self) -> None:
        """Send what is kept.

        Raises:
            OSError: The client is gone.
        """
        with suppress(BlockingIOError):
            while self._unsent:
                sent = self.connection.send(self._unsent[:CHUNK_BYTES])
                del self._unsent[:sent]
                self._taken += sent

    def hear(self) -> None:
        """Take note of what the client does; it has nothing more to say.

        Raises:
            OSError: The client is gone.
        """
        with suppress(BlockingIOError):
            if not self.connection.recv(CHUNK_BYTES):
                raise BrokenPipeError("the client has hung up")

    def last_words(self, seconds: float) -> None:
        """Say what is to be said before the process ends, and wait a little for the client."""
        with suppress(OSError):
            self._unsent += self.talk.on_stop()
            self.connection.settimeout(seconds)
            self.connection.sendall(self._unsent)

    def close(self) -> None:
        """Close the connection, after what was sent."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()
