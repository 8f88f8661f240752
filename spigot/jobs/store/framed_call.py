"""Calls of a script that begin and end alike: what they have in common is packed once."""

from collections.abc import Sequence
from typing import Any

from .lua_script import PersistentScript, pack


class FramedCall:
    """A script, with the keys and arguments that many of its calls have.

    Args:
        script: The script.
        keys: Text or bytes.
        before: Arguments that come before those of one call: text, bytes or numbers.
        after: Arguments that come after them.

    Attributes:
        script: As it was given.
        keys: Likewise.
    """

    def __init__(
        self,
        script: PersistentScript,
        keys: Sequence[Any],
        before: Sequence[Any],
        after: Sequence[Any],
    ) -> None:
        self.script, self.keys = script, keys
        self._before, self._after = before, after
        head = ("EVALSHA", script.sha, len(keys), *keys, *before)
        self._head, self._tail = _packed_parts(head), _packed_parts(after)
        self._parts = len(head) + len(after)

    def __call__(self, args: Sequence[Any]) -> Any:
        """Run the script, as ``PersistentScript`` does.

        Args:
            args: Those of this call: text, bytes or numbers.

        Raises:
            redis.RedisError: It is not known whether the script ran.
            TypeError: An argument is none of these; nothing was sent.
        """
        if not self.script.is_called_directly:
            return self.script(keys=self.keys, args=self.around(args))
        parts = (self._parts + len(args), self._head, _packed_parts(args), self._tail)
        return self.script.send(b"*%d\r\n%b%b%b" % parts, self.keys)

    def around(self, args: Sequence[Any]) -> list[Any]:
        """Return all arguments of a call with these."""
        return [*self._before, *args, *self._after]


def _packed_parts(parts: Sequence[Any]) -> bytes:
    """Return parts of a command as they are sent, without their number, which goes before."""
    return pack(*parts).partition(b"\n")[2]
