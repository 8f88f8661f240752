"""Calls scripts: alone, several in one round trip, or ahead of when the answer is wanted."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import hiredis
from redis import Redis
from redis.client import Pipeline
from redis.commands.core import Script
from redis.exceptions import ResponseError

from .direct_call import call_directly, send_ahead, send_together, takes_direct_calls
from .script_text import script_text
from .setting_aside import set_aside_spoilt
from .stored_values import is_spoilt

Call = tuple[Script, Sequence[Any], Sequence[Any]]
"""A script, its keys and its arguments."""


class PersistentScript(Script):
    """A script that is called again when what stopped it has been set aside.

    Scripts decide before they write, so one that met a key of another type has moved no job.
    """

    def __init__(self, redis: Redis, text: str) -> None:
        super().__init__(redis, text)
        self._directly = call_directly if takes_direct_calls(redis) else None

    @property
    def is_called_directly(self) -> bool:
        """Whether its client takes direct calls, as ``direct_call.py`` has them."""
        return self._directly is not None

    def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        """Run the script, or add it to a pipeline, which is not tried again."""
        keys, args = keys or (), args or ()
        if self._directly and client is None:
            return self.send(pack("EVALSHA", self.sha, len(keys), *keys, *args), keys)
        try:
            return super().__call__(keys, args, client)
        except ResponseError as error:
            if not _is_set_aside(error, client or self.registered_client, keys):
                raise
            return super().__call__(keys, args, client)

    def call_ahead(self, keys: Sequence[Any], args: Sequence[Any]) -> Callable[[], Any]:
        """Send a call whose answer is wanted later; only if it is called directly.

        Returns:
            Waits for the answer, and returns it; a call that was refused is made again then.

        Raises:
            redis.RedisError: It is not known whether the script ran.
        """
        packed = pack("EVALSHA", self.sha, len(keys), *keys, *args)
        client: Any = self.registered_client
        reply = send_ahead(client, packed)

        def answer() -> Any:
            try:
                return reply()
            except ResponseError:
                return self(keys, args)

        return answer

    def send(self, call: bytes, keys: Sequence[Any]) -> Any:
        """Run the script by a call that is packed already; only if it is called directly."""
        directly: Any = self._directly
        try:
            return directly(self, call)
        except ResponseError as error:
            if not _is_set_aside(error, self.registered_client, keys):
                raise
            return directly(self, call)


def pack(*parts: Any) -> bytes:
    """Return a command as it is sent.

    Raises:
        TypeError: A part is neither text nor bytes nor a number.
    """
    packed: bytes = hiredis.pack_command(parts)
    return packed


def _is_set_aside(error: ResponseError, redis: Any, keys: Sequence[Any]) -> bool:
    """Return whether what stopped a script lies elsewhere now."""
    return is_spoilt(error) and bool(set_aside_spoilt(redis, keys))


def load_script(redis: Redis, package: str, filename: str) -> PersistentScript:
    """Register a script with Redis.

    Args:
        redis: Connection the script runs on.
        package: Dotted package that holds the script; pass ``__package__``.
        filename: Such as ``"leak.lua"``.

    Returns:
        A callable; it sends EVALSHA, loads the source again after NOSCRIPT, and is called again
        after a key of another type stopped it, as :mod:`.setting_aside` tells.

    Raises:
        FileNotFoundError: There is no such script, or a library that it requires is missing.
    """
    return PersistentScript(redis, script_text(package, filename))


def call_together(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """Call scripts in one round trip; each is as atomic as alone, and none undoes another.

    One that the server refused is called again alone: it may not have known the script, or the
    script has met what has to be set aside.

    Args:
        redis: Connection that they run on.
        calls: Scripts with their keys and arguments, in this order.

    Raises:
        redis.RedisError: It is unknown which of them ran; each must be safe to repeat.
    """
    if len(calls) == 1:
        ((script, keys, args),) = calls
        return [script(keys=keys, args=args)]
    replies = replies_together(redis, calls)
    call_refused_again(calls, replies)
    return replies


def replies_together(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """Call scripts in one round trip, and return what each replies; of a refusal, the error.

    Args:
        redis: Connection that they run on; scripts of another one may be among them.
        calls: As ``call_together`` takes them.

    Raises:
        redis.RedisError: As ``call_together``.
    """
    if takes_direct_calls(redis):
        return send_together(
            redis,
            [pack("EVALSHA", script.sha, len(keys), *keys, *args) for script, keys, args in calls],
        )
    with redis.pipeline(transaction=False) as pipeline:
        add_calls(pipeline, calls)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
    return replies


def add_calls(pipeline: Pipeline, calls: Iterable[Call]) -> None:
    """Add calls to a pipeline, whose replies ``call_refused_again`` is to see."""
    for script, keys, args in calls:
        pipeline.evalsha(script.sha, len(keys), *keys, *args)


def call_refused_again(calls: Iterable[Call], replies: list[Any]) -> bool:
    """Call alone what the server refused, and put what it replies in place of the refusals.

    Returns:
        Whether there was any.

    Raises:
        redis.RedisError: It is unknown which of the calls ran.
    """
    was_refused = False
    for number, ((script, keys, args), reply) in enumerate(zip(calls, replies, strict=True)):
        if isinstance(reply, ResponseError):
            replies[number] = script(keys=keys, args=args)
            was_refused = True
        elif isinstance(reply, Exception):
            raise reply
    return was_refused
