"""The rate-aware worker that forks nothing."""

from spigot.worker.running.in_process_runner import InProcessRunner

from .rate_aware_worker import RateAwareWorker


class RateAwareSimpleWorker(RateAwareWorker):
    """Runs functions in its own process: the same bucket, leases and log, without a fork a job.

    For functions that are short and trusted: one that leaks memory, or crashes the interpreter,
    does so to the worker. What a work horse is killed for (timeout, lost lease, RQ's stop
    command, the end of the grace time) interrupts the function by an exception here.
    """

    runner_class = InProcessRunner
