"""Claims jobs from the bucket, and forgets no claim whose answer was lost."""

from collections.abc import Callable
from uuid import uuid4

from redis.exceptions import RedisError

from spigot.jobs.bucket.leaky_bucket import Claim, LeakyBucket, UnpublishedBucketError, Wait
from spigot.runtime.stop_signals import StopRequested
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.result_log import ResultLog
from spigot.worker.running.outcome import one_line


class Claimer:
    """Asks the bucket for one job after the other.

    An attempt's token is made up before it is asked for: with the same token a second question
    gets the same answer, and what nobody got an answer for can be given back.

    Args:
        bucket: On a connection that a signal interrupts.
        worker: Name of the worker that asks.
        lease_ms: How long a claim stands without renewal, >= 1.
        rq_ttl: Seconds until RQ forgets the worker.
        concurrency: How many jobs the worker runs at once.
        result_log: Its lines may be forgotten by the server, which is told with each question.
        restore: Tells a server that was emptied again what workers tell it when they begin.
    """

    def __init__(
        self,
        bucket: LeakyBucket,
        worker: str,
        *,
        lease_ms: int,
        rq_ttl: int,
        concurrency: int,
        result_log: ResultLog,
        restore: Callable[[], None],
    ) -> None:
        self._bucket = bucket
        self._worker = worker
        self._lease_ms = lease_ms
        self._rq_ttl = rq_ttl
        self._concurrency = concurrency
        self._result_log = result_log
        self._restore = restore
        self._token = uuid4().hex
        self._unanswered = False
        self._unreadable: Exception | None = None

    def ask(self) -> Claim | Wait:
        """Claim the next job, if its slot is near.

        Raises:
            redis.RedisError: Ask again.
            StopRequested: Do not; a job that was perhaps claimed is given back by ``sign_off``.
        """
        logged = self._result_log.written()
        self._unanswered = True
        try:
            answer = self._bucket.claim(
                self._worker,
                self._token,
                lease_ms=self._lease_ms,
                rq_ttl=self._rq_ttl,
                concurrency=self._concurrency,
                logged=logged,
            )
        except UnpublishedBucketError:
            self._restore()
            answer = Wait(0.001, waiting=1)
        except (RedisError, StopRequested):
            self._result_log.written_again(logged)
            raise
        except Exception as error:  # what was claimed stops this worker, and must not the next ones
            self._unreadable = error
            raise
        self._unanswered = False
        if isinstance(answer, Claim):
            self._token = uuid4().hex
        return answer

    def sign_off(self, bucket: LeakyBucket, leases: LeaseStore) -> None:
        """Leave the bucket, and give back a job that was perhaps claimed.

        Args:
            bucket: The same one, on a connection with little patience.
            leases: Of that bucket and connection.

        Raises:
            redis.RedisError: The lease of such a job runs out.
        """
        if self._unreadable is not None:
            reason = f"Unreadable: {one_line(self._unreadable)}"
            report = AttemptReport(self._token, "unreadable", reason)
            leases.give_back(report, "reaped", counts_as_reap=True)
        elif self._unanswered:
            leases.give_back(AttemptReport(self._token), "")
        bucket.leave(self._worker, self._result_log.written())
