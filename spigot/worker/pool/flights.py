"""The attempts that run in a pool, and how many have ended and are being written."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from spigot.worker.running.claimed_job import ClaimedJob

from .pool_process import PoolProcess


@dataclass(slots=True, eq=False)
class Flight:
    """An attempt that runs here.

    Attributes:
        job: The job.
        child: The process that runs it; None if it runs alone.
        place: Its place in that.
        is_cancelled: Whether it was told to end for good, which must outlive its process.
    """

    job: ClaimedJob
    child: PoolProcess | None = None
    place: int = 0
    is_cancelled: bool = False

    @property
    def has_begun(self) -> bool:
        """Whether its function was called, if it runs among others."""
        return self.child is not None and self.child.table.has_begun(self.place)

    def tell(self, what: str) -> None:
        """Have its function end: cancel, lose or give_back. It may have ended before."""
        self.is_cancelled = self.is_cancelled or what == "cancel"
        if self.child is not None:
            self.child.send(what, self.job.claim.token)


class Flights:
    """What takes the places of a pool; safe from any thread.

    Args:
        concurrency: How many places there are.

    Attributes:
        concurrency: As given.
    """

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._flights: dict[str, Flight] = {}
        self._ending = 0
        self._changed = threading.Condition()

    @property
    def oldest(self) -> ClaimedJob | None:
        """The oldest of the running jobs."""
        with self._changed:
            return next((flight.job for flight in self._flights.values()), None)

    @property
    def free_places(self) -> int:
        """How many more attempts there is room for."""
        with self._changed:
            return self.concurrency - len(self._flights) - self._ending

    @property
    def ending(self) -> int:
        """How many have ended, and are not written yet."""
        with self._changed:
            return self._ending

    def all(self) -> list[Flight]:
        """Return those that run."""
        with self._changed:
            return list(self._flights.values())

    def of(self, child: PoolProcess) -> list[Flight]:
        """Return those that run in a process."""
        return [flight for flight in self.all() if flight.child is child]

    def name_of(self, child: PoolProcess, place: int | None) -> str:
        """Return the job in a place of a process, for people."""
        flight = next((flight for flight in self.of(child) if flight.place == place), None)
        if flight is None:
            return "one of its jobs"
        return f"job {flight.job.id} ({flight.job.readable_name()})"

    def enter(self, job: ClaimedJob, child: PoolProcess | None = None) -> Flight:
        """Let an attempt take a place: in a process, or alone."""
        with self._changed:
            place = 0 if child is None else child.free_places.pop()
            flight = self._flights[job.claim.token] = Flight(job, child, place)
            return flight

    def leave(self, token: str) -> Flight | None:
        """Let an attempt leave its place; return None if it has left it before."""
        return self.leave_all([token])[0]

    def leave_all(self, tokens: Iterable[str]) -> list[Flight | None]:
        """Do as ``leave`` with several."""
        with self._changed:
            left = [self._flights.pop(token, None) for token in tokens]
            for flight in left:
                if flight is not None and flight.child is not None:
                    flight.child.free_places.append(flight.place)
            self._changed.notify_all()
            return left

    def note_ended(self, count: int) -> None:
        """Note that so many attempts have ended and are to be written."""
        with self._changed:
            self._ending += count

    def note_written(self, count: int) -> None:
        """Note that so many of those were written, or never will be."""
        with self._changed:
            self._ending -= count
            self._changed.notify_all()

    def wait_for_change(self, seconds: float) -> None:
        """Wait until an attempt has left or was written, for so long at most."""
        with self._changed:
            self._changed.wait(seconds)

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for a condition, which is looked at when attempts leave; return whether it is met.

        Args:
            condition: What is waited for.
            seconds: At most.
        """
        with self._changed:
            return self._changed.wait_for(condition, max(0.0, seconds))
