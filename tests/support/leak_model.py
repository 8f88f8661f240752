"""A leaky bucket in plain Python, to hold the scripts against."""

from dataclasses import dataclass, field
from math import ceil, inf

from spigot.jobs.store import keys

CLAIM_AHEAD_US = 50_000
SUSPECTED, LOOKED_AT, MAX_REFUSALS, WITNESS_US = 3, 9, 20, 300_000_000
POLL_MS, SERVER_LATE_MS = 800, 100
SET_BACK_US = 1_000_000


@dataclass
class Entry:
    """What stands in a queue.

    Attributes:
        returned_us: The slot that it came back from, if it was given back.
        is_job: False if there is no job of that id.
    """

    id: str
    returned_us: int | None = None
    is_job: bool = True


@dataclass
class Refused:
    """How a job was refused, since it last passed."""

    count: int = 0
    last_us: int = 0
    set_back: bool = False
    first_slot_us: int = 0


@dataclass
class Aside:
    """A waiting job that another may go before."""

    entry: Entry
    queue: str
    is_open: bool
    last_us: int


@dataclass
class Started:
    """A claim."""

    id: str
    queue: str
    slot_us: int
    attempt: int


@dataclass
class Waits:
    """No claim; somebody must look again by ``by_ms``."""

    by_ms: float
    waiting: int


@dataclass
class BucketModel:
    """One bucket; all times are microseconds that the caller tells."""

    interval_us: int
    burst: int = 1
    max_running: int = 0
    paused: bool = False
    suspended: bool = False
    held_until_us: int = 0
    clock_us: int = 0
    last_slot_us: int = 0
    ahead_us: int = 0
    paced_us: int = 1
    queues: dict[str, list[Entry]] = field(default_factory=dict)
    delayed: dict[str, tuple[int, str]] = field(default_factory=dict)
    scheduled: dict[str, tuple[int, str]] = field(default_factory=dict)
    running: dict[str, Started] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)
    refused_us: int | None = None
    refusing_slot_us: int = 0
    passed_slot_us: int = 0
    suspected: bool = False
    witness: str = ""
    failed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.queues = {name: [] for name in keys.queue_names("default")}

    def put(self, id: str, queue: str, *, is_job: bool = True) -> None:
        self.queues[queue].append(Entry(id, is_job=is_job))

    def ask(self, token: str, now_us: int) -> Started | Waits:
        self._notice_clock(now_us)
        self._promote(now_us)
        waiting = sum(map(len, self.queues.values()))
        full = 0 < self.max_running <= len(self.running)
        if self.paused or self.suspended or full or not waiting:
            return self._poll(now_us)
        slot_us, ahead_us = self._next_slot(now_us)
        if slot_us - now_us > CLAIM_AHEAD_US:
            return Waits(min(self._due_ms(), (slot_us - CLAIM_AHEAD_US) // 1000 + 1), waiting)
        entry, queue = self._pop(self._turns(token, now_us))
        if entry is None:
            return self._poll(now_us)
        self.last_slot_us, self.ahead_us, self.paced_us = slot_us, ahead_us, self.interval_us
        self.clock_us = now_us
        self.attempts[entry.id] = self.attempts.get(entry.id, 0) + 1
        self.running[token] = Started(entry.id, queue, slot_us, self.attempts[entry.id])
        return self.running[token]

    def finish(self, token: str, now_us: int) -> None:
        self._note_pass(self.running.pop(token), now_us)

    def refuse(self, token: str, hold_us: int, now_us: int) -> None:
        """Hold, unless the job alone is at fault: then it goes to the end, or fails."""
        claim = self.running[token]
        self._heed_clock(now_us)
        self._forget_the_future(now_us)
        refused = self.refused.get(claim.id, Refused(first_slot_us=claim.slot_us))
        refused.last_us = min(refused.last_us, now_us)
        count = refused.count + 1
        guilty = count >= SUSPECTED and self.passed_slot_us > refused.last_us
        if not guilty:
            innocent = refused.count >= SUSPECTED and (
                self.passed_slot_us <= refused.last_us < self.refusing_slot_us
            )
            guilty = refused.set_back and not innocent
            count = count if guilty else min(count, SUSPECTED)
            until_us = now_us + max(hold_us, self.interval_us)
            self.held_until_us = max(self.held_until_us, until_us)
            self.refused_us = now_us
            self.refusing_slot_us = max(self.refusing_slot_us, claim.slot_us)
        if guilty and count >= MAX_REFUSALS:
            self.failed.add(self.running.pop(token).id)
            return
        first_slot_us = refused.first_slot_us or claim.slot_us
        self.refused[claim.id] = Refused(count, now_us, guilty, 0 if guilty else first_slot_us)
        self.suspected |= count >= SUSPECTED
        if guilty:
            self.put(self.running.pop(token).id, claim.queue)
        else:
            self.give_back(token, started=True, slot_us=first_slot_us)

    def _note_pass(self, claim: Started, now_us: int) -> None:
        if self.refused_us is None:
            return
        self.refused.pop(claim.id, None)
        if claim.slot_us > self.passed_slot_us or self.passed_slot_us > now_us + CLAIM_AHEAD_US:
            self.passed_slot_us = claim.slot_us

    def _forget_the_future(self, now_us: int) -> None:
        latest_us = now_us + CLAIM_AHEAD_US
        self.passed_slot_us *= self.passed_slot_us <= latest_us
        self.refusing_slot_us *= self.refusing_slot_us <= latest_us

    def give_back(self, token: str, *, started: bool, slot_us: int | None = None) -> None:
        """Put the job at the head, behind those that came back from earlier slots."""
        claim = self.running.pop(token)
        slot_us = claim.slot_us if slot_us is None else slot_us
        self.attempts[claim.id] -= not started
        queue = self.queues[claim.queue]
        index = 0
        while index < len(queue) and (queue[index].returned_us or inf) < slot_us:
            index += 1
        queue.insert(index, Entry(claim.id, returned_us=slot_us))

    def retry(self, token: str, delay_us: int, now_us: int) -> None:
        claim = self.running.pop(token)
        self._heed_clock(now_us)
        self._note_pass(claim, now_us)
        if delay_us:
            self.delayed[claim.id] = (ceil((now_us + delay_us) / 1000), claim.queue)
        else:
            self.put(claim.id, claim.queue)

    def cancel(self, id: str) -> None:
        """Take a job out of where it waits."""
        for queue in self.queues.values():
            queue[:] = [entry for entry in queue if entry.id != id]
        self.delayed.pop(id, None)
        self.scheduled.pop(id, None)

    def purge(self) -> None:
        """Take out all that waits."""
        for waiting in (*self.queues.values(), self.delayed, self.scheduled):
            waiting.clear()

    def position(self, id: str) -> int:
        """Return how many jobs are to leave until this one has, itself among them."""
        return [entry.id for queue in self.queues.values() for entry in queue].index(id) + 1

    def _heed_clock(self, now_us: int) -> None:
        self._set_clock_back(now_us)
        if now_us - self.clock_us > SET_BACK_US:
            self.clock_us = now_us

    def _set_clock_back(self, now_us: int) -> None:
        """All that waits for a time comes as much earlier."""
        back_us = self.clock_us - now_us
        if back_us <= SET_BACK_US:
            return
        self.clock_us = now_us
        if self.held_until_us > now_us + CLAIM_AHEAD_US:
            self.held_until_us -= back_us
        for id, (due_ms, queue) in self.delayed.items():
            self.delayed[id] = (due_ms - back_us // 1000, queue)

    def _notice_clock(self, now_us: int) -> None:
        self._set_clock_back(now_us)
        self.last_slot_us = min(self.last_slot_us, now_us + CLAIM_AHEAD_US)

    def _promote(self, now_us: int) -> None:
        for jobs in (self.delayed, self.scheduled):
            by_queue = jobs is self.scheduled
            for id, (due_ms, queue) in sorted(
                jobs.items(),
                key=lambda job: (list(self.queues).index(job[1][1]) * by_queue, job[1][0], job[0]),
            ):
                if due_ms <= now_us // 1000:
                    del jobs[id]
                    self.put(id, queue)

    def _next_slot(self, now_us: int) -> tuple[int, int]:
        ahead_us = self.ahead_us
        if self.paced_us != self.interval_us:  # as many intervals ahead as before
            ahead_us = ceil(ahead_us * self.interval_us / self.paced_us)
        tolerance_us = (self.burst - 1) * self.interval_us
        ahead_us = min(ahead_us, tolerance_us)
        arrival_us = max(now_us, self.last_slot_us + ahead_us + self.interval_us)
        slot_us = max(now_us, self.last_slot_us, arrival_us - tolerance_us, self.held_until_us)
        return slot_us, max(0, arrival_us - slot_us)

    def _turns(self, token: str, now_us: int) -> list[str]:
        """Bring a witness forward if a suspect waits; say which queues to take a job from."""
        if not self.suspected:
            return list(self.queues)
        self._forget_the_future(now_us)
        found: list[Aside] = []
        has_new = False
        for name in self.queues:
            has_new = has_new or self._look_at(name, found, now_us)
        if not any(job.is_open for job in found):
            if not has_new:
                self.suspected, self.witness = False, ""
            return list(self.queues)
        best = min(found, key=lambda job: (job.last_us > 0, job.is_open, job.last_us))
        if best.is_open and best.last_us + WITNESS_US > now_us and self.witness in self.running:
            return []
        self._bring_forward(self.queues[best.queue], best.entry)
        self.witness = token if len(found) > 1 else self.witness
        return [best.queue]

    def _look_at(self, name: str, found: list[Aside], now_us: int) -> bool:
        queue = self.queues[name]
        for entry in queue[:LOOKED_AT]:
            refused = self.refused.get(entry.id, Refused())
            if not entry.is_job:
                continue
            refused.last_us = min(refused.last_us, now_us)
            is_suspect = refused.count >= SUSPECTED
            if is_suspect and self.passed_slot_us > refused.last_us and not refused.set_back:
                refused.set_back, refused.first_slot_us = True, 0
                queue.remove(entry)
                queue.append(Entry(entry.id))
                continue
            latest_us = max(self.passed_slot_us, self.refusing_slot_us)
            is_open = is_suspect and latest_us <= refused.last_us
            found.append(Aside(entry, name, is_open, refused.last_us))
            if not refused.count:
                return True
        return False

    def _bring_forward(self, queue: list[Entry], entry: Entry) -> None:
        queue.remove(entry)
        queue.insert(0, entry)

    def _pop(self, names: list[str]) -> tuple[Entry | None, str]:
        for name in names:
            queue = self.queues[name]
            while queue:
                entry = queue.pop(0)
                if entry.is_job:
                    return entry, name
        return None, ""

    def _poll(self, now_us: int) -> Waits:
        waiting = sum(map(len, self.queues.values()))
        by_ms = now_us // 1000 + POLL_MS + 2 * SERVER_LATE_MS
        return Waits(min(self._due_ms(), by_ms), waiting)

    def _due_ms(self) -> float:
        return min(
            (due for due, _ in [*self.delayed.values(), *self.scheduled.values()]), default=inf
        )
