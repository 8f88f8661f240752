"""What a process that runs many jobs changes of itself, for all of its threads."""

import faulthandler
import logging
import os
import sys
import threading

from rq.job import _job_stack

from .attempt import current_attempt
from .shared_table import EXIT_PLACE, SharedTable

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
"""After which a thread that computes lets another run; jobs of a pool wait, and are to start in
time. Python's own 5 ms would make each start behind one that computes 5 ms late and more."""


def prepare_process(worker_name: str, crash_report: int) -> None:
    """Let jobs find what they find in a work horse, and a crash be told.

    Args:
        worker_name: Of the parent.
        crash_report: File that tells who crashed.
    """
    os.environ["RQ_WORKER_ID"] = worker_name
    os.environ.pop("RQ_JOB_ID", None)  # of the whole process
    faulthandler.enable(crash_report, all_threads=False)
    sys.setswitchinterval(SWITCH_SECONDS)
    _tell_contexts_apart()


def note_exits(table: SharedTable) -> None:
    """Have a function that ends the process by ``os._exit`` leave its name."""
    leave, child = os._exit, os.getpid()
    os.register_at_fork(after_in_child=faulthandler.disable)  # whose crash is not that of the pool

    def note_and_leave(status: int) -> None:
        attempt = current_attempt.get()
        if attempt is not None and os.getpid() == child:
            table[EXIT_PLACE] = attempt.place + 1
        leave(status)

    os._exit = note_and_leave  # type: ignore[assignment]


class Vital:
    """A block that ends the process if it fails: the parent replaces it, and its jobs run again.

    A process that went on without one of its threads would leave jobs without an end, whose
    leases the parent renews for ever.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            name = threading.current_thread().name
            log.exception("pool process %d ends: its thread %s has failed", os.getpid(), name)
            os._exit(1)


def _tell_contexts_apart() -> None:
    """Have ``rq.get_current_job()`` return the job of the context, not that of the thread."""

    def context() -> int:
        attempt = current_attempt.get()
        return threading.get_ident() if attempt is None else -1 - id(attempt)

    _job_stack.__ident_func__ = context
