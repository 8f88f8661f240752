"""Notices a child that stands still, names who stops it, interrupts that, and kills at last."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .culprit import who_keeps_lock, who_keeps_loop
from .pool_process import PoolProcess
from .shared_table import BEAT, LOOP_BEAT
from .thread_times import Times, thread_times

log = logging.getLogger(__name__)

TELL_SECONDS, INTERRUPT_SECONDS, KILL_SECONDS = 1.0, 5.0, 15.0

BUSY_SECONDS = 0.5
"""How long it takes to see which thread keeps the lock: it alone runs."""

PAUSE_SECONDS = 1.0
"""If this process itself did not come round for so long, the machine stood still."""


@dataclass(slots=True)
class _Silence:
    """What was done about a silent child."""

    is_told: bool = False
    interrupted_at: float = 0.0
    place: int | None = None
    times: Times = field(default_factory=dict)


class Heartbeat:
    """Watches the signs of life of children.

    A call that keeps the interpreter's lock stops all threads of its process. If that lasts, the
    process is killed; a coroutine that only keeps the event loop is interrupted before.

    Args:
        lease_seconds: How long a lease stands without renewal.
        name_of: Returns the job in a place of a child, for people.
    """

    def __init__(
        self, lease_seconds: float, name_of: Callable[[PoolProcess, int | None], str]
    ) -> None:
        self._kill_seconds = min(KILL_SECONDS, lease_seconds / 3)
        self._interrupt_seconds = min(INTERRUPT_SECONDS, self._kill_seconds * 2 / 3)
        self._tell_seconds = min(TELL_SECONDS, self._kill_seconds / 3)
        self._name_of = name_of
        self._silences: dict[PoolProcess, _Silence] = {}
        self._looked_at = time.monotonic()
        self._forgiving_until = 0.0
        self.culprits: dict[PoolProcess, int | None] = {}

    def look(self, children: list[PoolProcess]) -> None:
        """Look at all of them; call it several times a second."""
        now = time.monotonic()
        if now - self._looked_at > PAUSE_SECONDS:
            self._forgiving_until = now + PAUSE_SECONDS
        self._looked_at = now
        self._silences = {c: s for c, s in self._silences.items() if c in children}
        if now >= self._forgiving_until:
            for child in children:
                self._look_at(child, now)

    def _look_at(self, child: PoolProcess, now: float) -> None:
        frozen, blocked = (now - child.table.beat_at(word) for word in (BEAT, LOOP_BEAT))
        if max(frozen, blocked) < self._tell_seconds:
            self._silences.pop(child, None)
            return
        silence = self._silences.get(child)
        if silence is None:
            silence = self._silences[child] = _Silence(times=thread_times(child.pid))
        if not silence.is_told:
            silence.is_told = True
            args = (child, silence, frozen > self._tell_seconds / 2)
            threading.Thread(target=self._tell_who, args=args, daemon=True).start()
        elif frozen > self._kill_seconds or blocked > KILL_SECONDS:
            self._kill(child, silence)
        elif frozen > self._interrupt_seconds and now - silence.interrupted_at > 1:
            silence.interrupted_at = now
            child.interrupt_loop()

    def _tell_who(self, child: PoolProcess, silence: _Silence, is_frozen: bool) -> None:
        if is_frozen:
            time.sleep(BUSY_SECONDS)
            culprit = who_keeps_lock(child, silence.times)
        else:
            culprit = who_keeps_loop(child)
        silence.place = culprit.place
        log.warning(
            "pool process %d: %s wait for %s%s",
            child.pid,
            "all jobs" if is_frozen else "all coroutines",
            self._name_of(child, culprit.place),
            "" if culprit.stack else ", whose stack is unknown",
            extra={"fields": {"traceback": culprit.stack} if culprit.stack else {}},
        )

    def _kill(self, child: PoolProcess, silence: _Silence) -> None:
        place = who_keeps_lock(child, silence.times).place
        self.culprits[child] = silence.place if place is None else place
        log.error(
            "pool process %d is killed: it stood still because of %s",
            child.pid,
            self._name_of(child, self.culprits[child]),
        )
        child.kill()
        self._looked_at = time.monotonic()
