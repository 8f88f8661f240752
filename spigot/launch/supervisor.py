"""Runs several processes as one: starts them, looks after them, stops them in order."""

import signal
import time
from collections.abc import Callable
from math import inf
from typing import NoReturn, Self

from spigot.runtime.backoff import Backoff
from spigot.runtime.errors import OperatorError
from spigot.runtime.stop_signals import StopRequested, StopSignals

from .child import Child, RunningChild

POLL_SECONDS = 0.02
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotReadyError(OperatorError):
    """The children live, but what was waited for did not come true in time."""


class Supervisor:
    """Keeps children running until it is told to stop.

    Used as a context manager, in the main thread. Leaving its block, for whatever reason, stops
    the children in the reverse of the order in which they were started, one after the other; a
    second signal hurries that.
    """

    def __init__(self) -> None:
        self._signals = StopSignals(numbers=STOP_SIGNALS)
        self._children: list[RunningChild] = []

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for child in reversed(self._children):
            child.stop(self._signals)
        self._signals.__exit__(*error)

    def start(self, child: Child, backoff: Backoff | None = None) -> None:
        """Start a child.

        Args:
            child: What to run.
            backoff: For a child that is to be restarted; None takes the usual delays.
        """
        self._children.append(RunningChild(child, backoff or Backoff()))

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for something that the children bring about; none of them may end meanwhile.

        Raises:
            ChildEndedError: A child has ended, be it one to be restarted.
            NotReadyError: It took longer than ``seconds``.
            StopRequested: A signal came.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            for child in self._children:
                child.fail_if_ended()
            if time.monotonic() > deadline:
                raise NotReadyError(f"not ready after {seconds:g} s; everything was stopped")
            self._wait(POLL_SECONDS)

    def restart(self, name: str) -> None:
        """Stop the child of that name, which has its time for it, and start it anew."""
        for child in self._children:
            if child.child.name == name and not self._signals.requested:
                child.restart(self._signals)

    def run(self, look: Callable[[], None] | None = None, every: float = inf) -> NoReturn:
        """Look after the children until told to stop.

        Args:
            look: Called from time to time.
            every: Seconds between two calls.

        Raises:
            ChildEndedError: A child that is not to be restarted has ended.
            StopRequested: A signal came.
        """
        while True:
            self._wait(min(every, *(child.look_after() for child in self._children)))
            if look is not None:
                look()

    def _wait(self, seconds: float) -> None:
        if not self._signals.requested:
            self._signals.wait_for_any(seconds)
        if self._signals.requested:
            raise StopRequested
