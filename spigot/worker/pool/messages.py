"""Messages between the parent and the child of a pool: values in frames, on a socket."""

import marshal
import socket
import struct
from collections.abc import Iterator
from typing import Any

LENGTH = struct.Struct("!I")
CHUNK_BYTES = 1 << 16


def frame(message: tuple[Any, ...]) -> bytes:
    """Return a message as it is sent. Both ends are forks of one interpreter."""
    body = marshal.dumps(message)
    return LENGTH.pack(len(body)) + body


class MessageReader:
    """Reads messages as they come.

    Args:
        source: The end of a socket pair that is read.
    """

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._received = bytearray()
        self.ended = False

    def read(self) -> Iterator[tuple[Any, ...]]:
        """Read once, and yield the messages that are whole; ``ended`` says if no more come."""
        try:
            chunk = self._source.recv(CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            chunk = b""
        if not chunk:
            self.ended = True
        self._received += chunk
        yield from self._whole()

    def _whole(self) -> Iterator[tuple[Any, ...]]:
        start = 0
        while len(self._received) - start >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self._received, start)
            end = start + LENGTH.size + size
            if len(self._received) < end:
                break
            message = marshal.loads(self._received[start + LENGTH.size : end])
            start = end
            yield message
        del self._received[:start]
