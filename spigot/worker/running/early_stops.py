"""Commands to stop a job that come before its worker has the job in hand."""

import threading
from collections.abc import Iterable
from itertools import islice

MOST_CLAIMED = 1_000
"""Jobs that may be claimed and not in hand. Only a fault leaves so many: the oldest are forgotten,
and stops of them go by what runs."""


class EarlyStops:
    """Remembers whose attempts are to be stopped as soon as they begin; safe from any thread.

    The server names a job's worker when the job is claimed. Who asks for a stop at once is ahead
    of the answer to the claim, or of whatever takes the job in hand. Whoever obeys a command notes
    it here first and then looks at what runs; whoever runs a job shows that first and then takes
    the job's note. So one of both sees the other, and a stop is neither missed nor kept for a
    later attempt of its job.
    """

    def __init__(self) -> None:
        self._is_asking = False
        self._claimed: dict[str, None] = {}  # in the order of their claims
        self._stopped: set[str] = set()
        self._mutex = threading.Lock()

    def note_question(self) -> None:
        """Note that jobs are asked for: until the answer is there, any may have been claimed."""
        with self._mutex:
            self._is_asking = True

    def note_answer(self, job_ids: Iterable[str]) -> None:
        """Note which jobs were claimed; stops of others are dropped."""
        with self._mutex:
            self._is_asking = False
            self._claimed.update(dict.fromkeys(job_ids))
            for job_id in list(islice(self._claimed, max(0, len(self._claimed) - MOST_CLAIMED))):
                del self._claimed[job_id]
            self._stopped &= self._claimed.keys()

    def note_stop(self, job_id: str) -> bool:
        """Return whether the job may be one that was claimed and is not in hand: remembered."""
        with self._mutex:
            is_early = self._is_asking or job_id in self._claimed
            if is_early:
                self._stopped.add(job_id)
            return is_early

    def take(self, job_id: str) -> bool:
        """Return whether a job was to be stopped before; from now on it is in hand, or given up."""
        with self._mutex:
            self._claimed.pop(job_id, None)
            was_stopped = job_id in self._stopped
            self._stopped.discard(job_id)
            return was_stopped
