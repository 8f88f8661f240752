"""One child process of a supervisor: how to run it, when to start it again, how to stop it."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from spigot.runtime.backoff import Backoff
from spigot.runtime.child_process import describe_end, start_child
from spigot.runtime.errors import OperatorError
from spigot.runtime.stop_signals import StopSignals

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 60.0

HURRY_SECONDS = 2.0
"""Time that each child has after a second signal, whatever it is busy with."""


@dataclass(frozen=True, slots=True)
class Child:
    """How to run one child.

    Attributes:
        name: What messages call it.
        command: Program and arguments.
        stop_seconds: Time it has after SIGTERM before it is killed.
        restart: Whether to start it again when it ends; otherwise its end is the end of all.
        death_signal: What it is sent when the supervisor is killed.
        stdin: What it may read from its standard input; a secret here is seen in no list of
            processes.
        options: Further arguments of ``subprocess.Popen``.
    """

    name: str
    command: Sequence[str]
    stop_seconds: float
    restart: bool = False
    death_signal: int = signal.SIGKILL
    stdin: bytes = b""
    options: Mapping[str, Any] = field(default_factory=dict)


class ChildEndedError(OperatorError):
    """A child that all others need has ended.

    Attributes:
        child: The child.
    """

    def __init__(self, child: Child, returncode: int) -> None:
        super().__init__(f"{child.name} {describe_end(returncode)}; everything was stopped")
        self.child = child


class RunningChild:
    """A child that has been started.

    Args:
        child: Started at once.
        backoff: For a child that is to be restarted.
    """

    def __init__(self, child: Child, backoff: Backoff) -> None:
        self.child = child
        self._backoff = backoff
        self._restart_at: float | None = None
        self._started_at = time.monotonic()
        self._process = _start(child)

    def fail_if_ended(self) -> None:
        """Raise ``ChildEndedError`` if the child has ended."""
        returncode = self._process.poll()
        if returncode is not None:
            raise ChildEndedError(self.child, returncode)

    def look_after(self) -> float:
        """Start the child again if it has ended and its time has come.

        Returns:
            Seconds after which to look again, even if no signal comes.

        Raises:
            ChildEndedError: It has ended and is not one to be restarted.
        """
        if self._process.poll() is None:
            return LOOK_AGAIN_SECONDS
        if not self.child.restart:
            self.fail_if_ended()
        self._restart_at = self._restart_at or self._plan_restart()
        wait = self._restart_at - time.monotonic()
        if wait > 0:
            return wait
        self._restart_at = None
        self._started_at = time.monotonic()
        self._process = _start(self.child)
        return LOOK_AGAIN_SECONDS

    def restart(self, signals: StopSignals) -> None:
        """Stop the child and start it again at once."""
        self.stop(signals)
        self._restart_at = None
        self._started_at = time.monotonic()
        self._process = _start(self.child)

    def stop(self, signals: StopSignals) -> None:
        """Send SIGTERM, and SIGKILL to the child and all of its group when its time is over.

        Args:
            signals: A second one to stop shortens the time to ``HURRY_SECONDS``.
        """
        if self._process.poll() is not None:
            return
        logger.info("stopping %s", self.child.name)
        self._process.terminate()
        if not self._ends_within(self.child.stop_seconds, signals):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            logger.warning("%s did not stop in time and was killed", self.child.name)

    def _ends_within(self, seconds: float, signals: StopSignals) -> bool:
        deadline = time.monotonic() + seconds
        hurried = False
        while self._process.poll() is None:
            if signals.insisted and not hurried:
                hurried = True
                deadline = min(deadline, time.monotonic() + HURRY_SECONDS)
                self._process.terminate()  # which insists in its turn
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            signals.wait_for_any(left)
        return True

    def _plan_restart(self) -> float:
        now = time.monotonic()
        delay = self._backoff.delay_after(now - self._started_at)
        logger.warning(
            "%s %s; next start in %g s",
            self.child.name,
            describe_end(self._process.returncode),
            delay,
        )
        return now + delay


def _start(child: Child) -> subprocess.Popen[bytes]:
    process = start_child(
        child.command,
        death_signal=child.death_signal,
        stdin=subprocess.PIPE if child.stdin else subprocess.DEVNULL,
        **child.options,
    )
    if process.stdin:
        # Whoever ends before reading is found by the next look.
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(child.stdin)
    return process
