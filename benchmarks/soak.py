"""Kills, failovers and load for a given time; then the books must balance.

    python benchmarks/soak.py --seconds 300 --seed 7

Runs a primary, two replicas and three sentinels, three webs, two workers and two pools. Clients
post jobs of several kinds, each under an idempotency key and until it is accepted, and cancel some;
meanwhile something is killed, stopped or changed every second or so, as the seed says. A web and a
pool are spared, so that what they hold can be compared. At the end each accepted job must have
ended, be in one place, and have its line in the result log; no key may lack the expiry that it
should have; and memory, open files and processes must not have grown. Exits with 1 if any of that
is not so, and then says what was done while the jobs in question were accepted.
"""

import argparse
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

sys.path.insert(0, str(Path(__file__).parents[1]))

from soak_clients import Clients
from soak_processes import Processes, Usage

from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.runtime.server.redis_connection import connect
from tests.support.consistency import kept_lines, problems, problems_of_log, read_lines, status_of
from tests.support.processes import wait_for
from tests.support.redis_keys_page import KEYS_OF_PAGE
from tests.support.sentinel_stack import Node, SentinelStack, sentinel_stack

BUCKET = "default"
RATES = ("20/s", "50/s", "100/s")
LAST_RATE = "500/s"
ENDED = {"finished", "failed", "canceled"}
CALM_SECONDS = 180
"""How long what waits at the end may take to run."""

ANSWER_SECONDS = 30
"""How long the server may take to tell how the books are, beside all that ran."""

MAY_STAY = re.compile(
    "|".join(
        re.escape(key).replace("NAME", "[a-z]+").replace("QUEUE", "[a-z-]+")
        for key in KEYS_OF_PAGE | {"rq:workers", "rq:workers:QUEUE"}
        if not re.search("[A-Z]", re.sub("NAME|QUEUE", "", key))
    )
)
"""Keys that no job, attempt, worker or client names: there are so many as buckets."""


class Harm:
    """Does what the seed says, one deed after the other.

    Attributes:
        deeds: What was done, each with its time by ``time.monotonic()``.
    """

    def __init__(self, stack: SentinelStack, processes: Processes, seed: int) -> None:
        self.deeds: list[tuple[float, str]] = []
        self._stack = stack
        self._processes = processes
        self._random = random.Random(seed)
        self._redis = connect(stack.url, timeout=3)
        self._healing: threading.Thread | None = None
        self._ways = {
            "kill a worker or web process": lambda: processes.kill_child(self._random),
            "kill a work horse": lambda: processes.kill_grandchild(self._random),
            "kill all of a part": lambda: processes.kill_root(self._random),
            "stop a part": lambda: processes.stop_root(self._random),
            "change the rate": lambda: self._change(rate=self._random.choice(RATES)),
            "pause": lambda: self._change(paused=True),
            "go on": lambda: self._change(paused=False),
            "kill the primary": lambda: self._harm_server(lambda: stack.primary.kill()),
            "plan a failover": lambda: self._harm_server(stack.fail_over),
            "freeze the primary": lambda: self._harm_server(lambda: stack.primary.signal(19)),
        }

    def go_on_until(self, end: float) -> None:
        """Do deeds until ``time.monotonic()`` is ``end``."""
        while time.monotonic() < end:
            time.sleep(min(self._random.uniform(0.3, 1.5), max(0.0, end - time.monotonic())))
            name = self._random.choice(list(self._ways))
            if self._ways[name]() is not False:
                self.deeds.append((time.monotonic(), name))
            self._processes.start_gone()

    def end(self) -> None:
        """Undo what was done to the servers, and let all that waits run."""
        if self._healing is not None:
            self._healing.join()
        self._processes.start_gone()
        wait_for(lambda: self._change(rate=LAST_RATE, paused=False), 30)

    def _change(self, **change: object) -> bool:
        try:
            BucketControl(self._redis, by="soak").set(BUCKET, BucketChange(**change))
        except Exception as error:
            print(f"  a change was not taken: {str(error)[:100]}", flush=True)
            return False
        return True

    def _harm_server(self, deed: object) -> bool:
        if self._healing is not None and self._healing.is_alive():
            return False  # a second failover before the first is over is not for three servers
        try:
            old = self._stack.primary
            deed()  # type: ignore[operator]
        except (AssertionError, StopIteration, RedisError):  # the sentinels do not agree just now
            return False
        self._healing = threading.Thread(target=self._heal, args=(old,))
        self._healing.start()
        return True

    def _heal(self, old: Node) -> None:
        time.sleep(4)
        # a killed primary has no files: back before another is made, it would empty its replicas
        until_done("the sentinels switch", lambda: self._stack.wait_for_switch(old, 60))
        until_done("the servers are well", self._stack.heal)


def until_done(what: str, do: Callable[[], object]) -> None:
    """Do it until it comes true in time, which on a loaded machine it may not at once."""
    while True:
        try:
            do()
            return
        except AssertionError:
            print(f"  it takes long until {what}", flush=True)


def wrong(redis: Redis, ids: set[str], folder: Path) -> Iterator[str]:
    """Say what does not balance."""
    yield from problems(redis, BUCKET, ids)
    lines = read_lines(folder / "results.jsonl") + kept_lines(redis, BUCKET)
    yield from problems_of_log(redis, lines, ids, interval=0)
    for key in redis.scan_iter():
        if redis.ttl(key) == -1 and not MAY_STAY.fullmatch(key.decode(errors="replace")):
            yield f"key {key!r} never expires"


def accounts(
    faults: list[str], accepted: dict[str, float], deeds: list[tuple[float, str]]
) -> Iterator[str]:
    """Say when the first jobs that do not balance were accepted, and what was done about then."""
    wrong_jobs = [(id_, at) for id_, at in accepted.items() if any(id_ in each for each in faults)]
    for id_, at in wrong_jobs[:20]:
        near = [f"{when - at:+.1f} s {deed}" for when, deed in deeds if abs(when - at) < 10]
        yield f"job {id_} was accepted at {at:.1f}; deeds about then: {', '.join(near)}"


def soak(seconds: float, seed: int, folder: Path) -> list[str]:
    """Soak, print the books, and return what is wrong."""
    with sentinel_stack() as stack, Processes(stack.url, folder, BUCKET) as processes:
        harm, usage = Harm(stack, processes, seed), Usage(processes)
        with Clients(processes.addresses, seed) as clients, usage:
            harm.go_on_until(time.monotonic() + seconds)
            harm.end()
        redis = Redis(port=stack.primary.port, socket_timeout=ANSWER_SECONDS)
        ids = set(clients.accepted)
        until = time.monotonic() + CALM_SECONDS
        while time.monotonic() < until and not all(status_of(redis, id_) in ENDED for id_ in ids):
            time.sleep(0.5)
        time.sleep(2)  # lines of the result log are written after the end
        codes = processes.stop()
        faults = list(wrong(redis, ids, folder))
        faults += [f"{part} ended with code {code}" for part, code in codes.items() if code]
        faults += usage.faults()
        print(f"deeds: {dict(Counter(name for _, name in harm.deeds))}")
        states = Counter(status_of(redis, id_) or "gone" for id_ in ids)
        balance = " + ".join(f"{count} {state}" for state, count in sorted(states.items()))
        print(f"accepted {len(ids)} = {balance}; answers: {dict(clients.answers)}")
        print(usage)
        if faults:
            print(processes.last_words())
            print("\n".join(accounts(faults, clients.accepted, harm.deeds)))
        return faults


def main() -> int:
    """Print a report; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="of harm and load")
    parser.add_argument("--seed", type=int, help="of the choices; printed if it is not given")
    options = parser.parse_args()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    print(f"seed {seed}, {options.seconds:g} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="spigot-soak-") as folder:
        faults = soak(options.seconds, seed, Path(folder))
    for fault in faults[:50]:
        print(f"WRONG: {fault}")
    print(f"{len(faults)} faults" if faults else "the books balance")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
