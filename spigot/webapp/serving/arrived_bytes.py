"""What gunicorn's parser reads instead of the socket: the bytes that have arrived."""

from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.unreader import Unreader

from .arrival import Arrival, State

PIECE_BYTES = 1 << 13
"""The parser copies the rest of a piece for each chunk in it, so that they must not be large."""


class BodyTooSlow(Exception):
    """A body did not arrive in its time."""


class BodyTooLong(Exception):
    """A body is longer than any is allowed to be."""


class ArrivedBytes(Unreader):  # type: ignore[misc]  # gunicorn has no annotations
    """Gives out the bytes of an arrival, and never waits for more.

    Args:
        arrival: Is complete, or will not be.
        hung_up: Whether the client has closed its side.
    """

    def __init__(self, arrival: Arrival, *, hung_up: bool) -> None:
        super().__init__()
        self._data = bytes(arrival.data)
        self._given = 0
        self._state = arrival.state
        self._hung_up = hung_up

    @property
    def has_more(self) -> bool:
        """Whether something has arrived that was not read."""
        return bool(self.buf.getvalue()) or self._given < len(self._data)

    def take_buffered(self) -> bytes:
        """Return what was not read."""
        rest, self._given = self._data[self._given :], len(self._data)
        return bytes(super().take_buffered()) + rest

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return some of what has arrived, and nothing at its end; called by gunicorn.

        Raises:
            BodyTooSlow: The rest of the body was waited for.
            BodyTooLong: The rest of the body is not wanted.
            LimitRequestHeaders: The rest of the head is not wanted.
        """
        if self._given < len(self._data):
            piece = self._data[self._given : self._given + max(PIECE_BYTES, size_hint or 0)]
            self._given += len(piece)
            return piece
        if self._hung_up:
            return b""
        match self._state:
            case State.BODY:
                raise BodyTooSlow("the body arrives too slowly")
            case State.LONG_BODY:
                raise BodyTooLong("the body is too long")
            case State.LONG_HEAD:
                raise LimitRequestHeaders("the head is too long")
        return b""
