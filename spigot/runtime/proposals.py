"""What the shell proposes as one types, whatever goes wrong while it is looked for."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import wraps
from io import StringIO

from click import Context, Parameter
from click.shell_completion import CompletionItem
from redis.exceptions import RedisError

from .errors import OperatorError

HARMLESS = re.compile(r"[A-Za-z0-9_.:/@=+-]+")
"""What a shell takes for a plain word: a stranger may have chosen the name."""

Completion = Callable[[Context, Parameter, str], list[CompletionItem]]
"""What click takes as ``shell_complete``."""


def proposing(find: Callable[[], Iterable[CompletionItem]]) -> Completion:
    """Return what proposes those of the found items that begin with what was typed.

    Nobody reads an error while the shell waits: if something cannot be found out, nothing is
    proposed.
    """

    @wraps(find)
    def complete(context: Context, parameter: Parameter, typed: str) -> list[CompletionItem]:
        proposed: list[CompletionItem] = []
        with _quiet():
            proposed += (item for item in find() if item.value.startswith(typed))
        return [item for item in proposed if HARMLESS.fullmatch(item.value)]

    return complete


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings and an application's own output off the line that is being typed."""
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    except (OperatorError, RedisError):
        """The command itself will say what is wrong."""
