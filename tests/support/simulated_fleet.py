"""Workers without processes: they ask, wait, are woken and run jobs in simulated time.

The scripts are the real ones, on a real server; only the clock and the waiting are ours. So
hours of a fleet take a second, and each call is counted.
"""

from dataclasses import dataclass, field

from spigot.jobs.bucket.claim_answers import SLEEP_SECONDS, Claim, Wait
from spigot.jobs.store import keys
from spigot.worker.idle.reaping import REAPED_MS
from spigot.worker.idle.wake_up_tokens import LATE_SECONDS

from .clocked_bucket import SECOND_US, START_US, ClockedBucket

SERVER_LATE_US = 100_000
"""The worst that a server adds to a blocking wait without a wake-up."""


@dataclass(eq=False)
class Worker:
    """One worker process.

    Attributes:
        since_us: When it began to wait; the server serves who waits longest.
        until_us: When it looks again by itself.
        deaf_from_us: From when on no token wakes it.
        asks_at_us: When it asks the bucket, which till then it only looks at.
        claim: The job that it runs.
        dead: It does nothing any more, and no token is handed to it.
        cut_off: Likewise, but the server still hands one to it that it blocks for.
    """

    name: str
    since_us: int = 0
    until_us: int = 0
    deaf_from_us: int = 0
    asks_at_us: int = 0
    tokens: tuple[str, ...] = ()
    claim: Claim | None = None
    dead: bool = False
    cut_off: bool = False


@dataclass
class SimulatedFleet:
    """Workers of the bucket ``default``.

    Attributes:
        run_seconds: How long each job runs.
        looks: Time and worker of each call of the leak script, and of each look of a poller.
        starts: Time, worker and claim of each job.
        own_commands: How many commands the simulation itself sent.
    """

    bucket: ClockedBucket
    count: int
    run_seconds: float = 0.0
    looks: list[tuple[int, str]] = field(default_factory=list)
    starts: list[tuple[int, str, Claim]] = field(default_factory=list)
    own_commands: int = 0

    def __post_init__(self) -> None:
        self.workers = [Worker(f"worker-{number}") for number in range(self.count)]
        for worker in self.workers:
            self._look(worker)

    def run(self, seconds: float) -> None:
        """Let so much time go by."""
        end_us = self.bucket.now_us + round(seconds * SECOND_US)
        self._wake_sleepers()
        while True:
            alive = (w for w in self.workers if not w.dead and not w.cut_off)
            worker = min(alive, key=lambda w: w.until_us)
            if worker.until_us > end_us:
                break
            self.bucket.now_us = max(self.bucket.now_us, worker.until_us)
            if worker.until_us < worker.asks_at_us:
                self._watch(worker)
            else:
                self._look(worker)
            self._wake_sleepers()
        self.bucket.now_us = end_us

    def kill(self, name: str) -> None:
        """Kill a worker as SIGKILL does; the server has not noticed yet."""
        next(w for w in self.workers if w.name == name).dead = True

    def cut_off(self, name: str) -> None:
        """Let a worker's packets vanish: to the server it still blocks, and may take one token."""
        next(w for w in self.workers if w.name == name).cut_off = True

    def pollers(self) -> list[str]:
        """Return the names of the pollers, the next to look first."""
        names = self.bucket.redis.zrange(keys.pollers("default"), 0, -1)
        return [name.decode() for name in names]

    def looks_between(self, begin_seconds: float, end_seconds: float) -> list[float]:
        """Return when workers looked, in seconds since the start."""
        times = ((us - START_US) / SECOND_US for us, _ in self.looks)
        return [time for time in times if begin_seconds <= time < end_seconds]

    def _look(self, worker: Worker) -> None:
        if worker.claim is not None:
            self.bucket.finish(worker.claim)
            worker.claim = None
        now_us = self.bucket.now_us
        self.looks.append((now_us, worker.name))
        answer = self.bucket.ask(worker.name)
        worker.since_us = now_us
        if isinstance(answer, Claim):
            self.starts.append((now_us, worker.name, answer))
            worker.claim, worker.tokens = answer, ()
            worker.until_us = max(now_us, answer.slot_us) + round(self.run_seconds * SECOND_US)
        else:
            self._wait(worker, answer)

    def _watch(self, worker: Worker) -> None:
        now_us = self.bucket.now_us
        self.looks.append((now_us, worker.name))
        look = self.bucket.bucket.look(worker.name, polling=True, now_us=now_us)
        if look.must_reap:
            self.bucket.leases.reap(fresh_ms=REAPED_MS, now_us=now_us)
        if look.seconds is None:
            self._look(worker)
        else:
            worker.until_us = min(now_us + round(look.seconds * SECOND_US), worker.asks_at_us)

    def _wait(self, worker: Worker, answer: Wait) -> None:
        wait_us = round(answer.seconds * SECOND_US)
        watches = answer.polling and not answer.exact and not answer.waiting
        late_us = 0 if answer.exact or watches else SERVER_LATE_US
        worker.until_us = worker.since_us + wait_us + late_us
        spell_us = round(SLEEP_SECONDS * SECOND_US) + SERVER_LATE_US
        worker.asks_at_us = worker.since_us + spell_us if watches else 0
        deaf_us = round(LATE_SECONDS * SECOND_US) if answer.exact else 0
        worker.deaf_from_us = (worker.asks_at_us or worker.until_us) - deaf_us
        wake_up, standby = keys.wake_up("default"), keys.standby_wake_up("default")
        worker.tokens = (wake_up,) if answer.polling else (wake_up, standby)

    def _wake_sleepers(self) -> None:
        tokens = keys.wake_up("default"), keys.standby_wake_up("default")
        while self._exists(*tokens):
            woken = next(filter(None, map(self._woken_by, tokens)), None)
            if not woken:
                break
            self._look(woken)

    def _exists(self, *names: str) -> bool:
        self.own_commands += 1
        return bool(self.bucket.redis.exists(*names))

    def _woken_by(self, key: str) -> Worker | None:
        if not self._exists(key):
            return None
        now_us = self.bucket.now_us
        waiting = [
            w for w in self.workers if not w.dead and key in w.tokens and now_us < w.deaf_from_us
        ]
        if not waiting:
            return None
        self.bucket.redis.lpop(key)
        first = min(waiting, key=lambda w: w.since_us)
        if first.cut_off:
            first.tokens = ()
            return None
        return first
