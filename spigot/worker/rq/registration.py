"""RQ's record of a worker, by which ``rq info``, the dashboard and RQ's commands find it."""

import time
from datetime import UTC, datetime

from redis import Redis
from rq import Worker, worker_registration
from rq.utils import as_text
from rq.worker import WorkerStatus

from spigot.runtime.errors import OperatorError

LOOK_SECONDS, BUSY_LOOK_SECONDS = 10.0, 2.0
"""How often a worker looks whether its record is still there, and while jobs run here whether it
says so."""


class NameTakenError(OperatorError):
    """A worker of that name counts as alive."""


class RqRegistration:
    """Keeps the record there while the worker lives.

    It ends by itself, and is gone as well when the server was emptied, or was away for long.

    Args:
        worker: Whose record it is.
        redis: Connection to the server.
        ttl: Seconds after its last sign of life until RQ forgets the worker.
    """

    def __init__(self, worker: Worker, redis: Redis, ttl: int) -> None:
        self._worker = worker
        self._redis = redis
        self._ttl = ttl
        self._looked_at = 0.0

    def write(self) -> None:
        """Write the record; doing it again is harmless.

        Raises:
            NameTakenError: Another worker has that name.
            redis.RedisError: It is unknown whether it was written.
        """
        worker = self._worker
        self._refuse_taken_name()
        with self._redis.pipeline() as pipeline:
            worker.last_heartbeat = datetime.now(UTC)
            worker.birth_date = worker.birth_date or worker.last_heartbeat
            pipeline.delete(worker.key)
            pipeline.hset(worker.key, mapping={**worker.serialize(), "state": worker.get_state()})
            if job_id := worker.get_current_job_id():
                pipeline.hset(worker.key, "current_job", job_id)
            pipeline.expire(worker.key, self._ttl)
            worker_registration.register(worker, pipeline)
            pipeline.execute()

    def stay(self) -> None:
        """Write the record again if it is gone; looks every few seconds at most.

        A script that ends a job shows its worker as idle, which one that runs others is not.

        Raises:
            redis.RedisError: Call again later.
        """
        pause = BUSY_LOOK_SECONDS if self._worker.get_current_job_id() else LOOK_SECONDS
        if time.monotonic() - self._looked_at >= pause:
            birth, state = self._redis.hmget(self._worker.key, "birth", "state")
            self.mend("" if birth is None else as_text(state or "unknown"))

    def mend(self, state: str) -> None:
        """Write what the record lacks.

        Args:
            state: What it says of the worker; empty if it is gone.

        Raises:
            redis.RedisError: Call again later.
        """
        if not state:
            self.write()
        elif state != WorkerStatus.BUSY:
            self._show_running()
        self._looked_at = time.monotonic()

    def _show_running(self) -> None:
        if job_id := self._worker.get_current_job_id():
            fields = ["state", WorkerStatus.BUSY.value, "current_job", job_id]
            self._redis.hset(self._worker.key, items=fields)

    def _refuse_taken_name(self) -> None:
        worker = self._worker
        fields = self._redis.hmget(worker.key, "hostname", "pid", "death")
        hostname, pid, death = (field and as_text(field) for field in fields)
        if hostname and not death and (hostname, pid) != (worker.hostname, str(worker.pid)):
            raise NameTakenError(
                f"another worker is named {worker.name!r} (process {pid} on {hostname}); one "
                f"that was killed is forgotten after {self._ttl} s"
            )
