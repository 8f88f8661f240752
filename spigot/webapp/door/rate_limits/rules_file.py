"""``rate_limits.json`` and the rules in force: the last good ones that it held."""

import logging
from collections.abc import Callable, Mapping
from math import inf
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

from .rules import Rules
from .rules_text import RulesError, build_rules, parse_rules

log = logging.getLogger(__name__)

CHECK_US = 1_000_000
"""Microseconds that a change of the file may go unseen."""


def read_rules(path: str | PathLike[str], *, optional: bool = False) -> Rules:
    """Read the rules of a file.

    Args:
        path: The file.
        optional: There are no rules if it does not exist.

    Raises:
        RulesError: The file cannot be read, or its rules cannot be used.
    """
    return _parse(Path(path), _read(Path(path), optional))


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
        self._path = Path(path)
        self._monotonic_us = monotonic_us
        self._lock = Lock()
        self._check_at_us: float = monotonic_us() + CHECK_US
        self._may_be_missing = optional and not self._path.exists()
        text = _read(self._path, self._may_be_missing)
        self._rules = _parse(self._path, text)
        self._text: str | None = text
        self._problem = ""

    def in_force(self) -> Rules:
        """Return the rules in force, after a look at the file at most once a second."""
        if self._monotonic_us() >= self._check_at_us and self._lock.acquire(blocking=False):
            try:
                self._check_at_us = self._monotonic_us() + CHECK_US
                self._check()
            finally:
                self._lock.release()
        return self._rules

    def check_now(self) -> None:
        """Look at the file before the next decision; safe in a signal handler."""
        self._check_at_us = -inf

    def _check(self) -> None:
        text = None
        try:
            text = _read(self._path, self._may_be_missing)
            if text == self._text:
                return
            self._rules = _parse(self._path, text)
        except RulesError as error:
            if str(error) != self._problem:
                log.error("%s; the last good rules stay in force", error)
            self._problem = str(error)
        else:
            self._problem = ""
            self._may_be_missing = False
            log.info("%s: new rules are in force", self._path)
        finally:
            self._text = text


def _read(path: Path, optional: bool = False) -> str:
    if optional and not path.exists():
        return "{}"
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: cannot be read: {error}") from error


def _parse(path: Path, text: str) -> Rules:
    try:
        return parse_rules(text)
    except RulesError as error:
        raise RulesError(f"{path}: {error}") from error
