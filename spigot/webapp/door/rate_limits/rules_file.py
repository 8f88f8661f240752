"""``rate_limits.json`` and the rules in force: the last good ones that it held."""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from spigot.runtime.followed_file import FollowedFile, read_text

from .rules import Rules
from .rules_text import RulesError, build_rules, parse_rules

FILE_CHECK_SECONDS = 1.0
"""How often the file is looked at, at most."""


def read_rules(path: str | PathLike[str], *, optional: bool = False) -> Rules:
    """Read the rules of a file.

    Args:
        path: The file.
        optional: There are no rules if it does not exist.

    Raises:
        RulesError: The file cannot be read, or its rules cannot be used.
    """
    return _parse(Path(path), read_text(Path(path), RulesError, optional=optional))


class FixedRules:
    """Rules that never change.

    Args:
        written: What would stand in the file.

    Raises:
        RulesError: They cannot be used.
    """

    def __init__(self, written: Mapping[str, Any]) -> None:
        self._rules = build_rules(written)

    def in_force(self) -> Rules:
        """Return the rules."""
        return self._rules


class RulesFile:
    """Reads the rules again when the file has other content.

    Threads may share it: one of them looks after the file, the others keep to the old rules.

    Args:
        path: The file.
        monotonic_us: Clock in microseconds.
        optional: There are no rules for as long as it does not exist; once there, it is followed.

    Raises:
        RulesError: The file cannot be read, or its rules cannot be used.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        monotonic_us: Callable[[], int],
        *,
        optional: bool = False,
    ) -> None:
        self._file = FollowedFile(
            Path(path),
            lambda text: _parse(Path(path), text),
            error=RulesError,
            contents="rules",
            optional=optional,
            monotonic=lambda: monotonic_us() / 1_000_000,
        )

    def in_force(self) -> Rules:
        """Return the rules in force, after a look at the file at most once a second."""
        self._file.look(FILE_CHECK_SECONDS)
        return self._file.value

    def check_now(self) -> None:
        """Look at the file before the next decision; safe in a signal handler."""
        self._file.look_at_next_call()


def rules_from(
    written: str | PathLike[str] | Mapping[str, Any] | RulesFile, monotonic_us: Callable[[], int]
) -> FixedRules | RulesFile:
    """Return the rules that somebody wrote, in a file or here.

    Args:
        written: The file, which is followed; or what would stand in it.
        monotonic_us: Clock in microseconds.

    Raises:
        RulesError: The file cannot be read, or the rules cannot be used.
    """
    if isinstance(written, RulesFile):
        return written
    if isinstance(written, Mapping):
        return FixedRules(written)
    return RulesFile(written, monotonic_us)


def _parse(path: Path, text: str) -> Rules:
    try:
        return parse_rules(text)
    except RulesError as error:
        raise RulesError(f"{path}: {error}") from error
