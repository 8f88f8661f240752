"""What errors share: some are no faults of Spigot, some travel, and each has a first line."""

from typing import Any


class OperatorError(Exception):
    """Something that whoever runs Spigot can put right.

    The message is one line that says what is wrong and what to do; a command prints it and
    exits with status 1, without a traceback.
    """


class PortableError(Exception):
    """An exception that can be pickled and copied, whatever its constructor takes.

    Python makes a pickled exception anew from its message. One whose constructor takes something
    else fails there, and breaks the ``ProcessPoolExecutor`` in which it was raised.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is made again without its constructor."""
        return _made_again, (type(self), self.args), self.__dict__


def _made_again(error: type[PortableError], args: tuple[Any, ...]) -> PortableError:
    return error.__new__(error, *args)


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message; "" if it has none."""
    try:
        return str(error).strip().partition("\n")[0]
    except Exception:  # of an application's own class
        return "its message cannot be read"


def named_line(error: BaseException) -> str:
    """Return an exception's name, and the first line of its message if it has one."""
    name, message = type(error).__name__, first_line(error)
    return f"{name}: {message}" if message else name
