"""A server takes over whose clock is minutes behind or ahead: nothing waits for as long as that."""

import signal
import time
from itertools import pairwise

import pytest

from spigot.jobs.bucket.state import BucketReader
from tests.support.failover import pair_of_servers
from tests.support.fleet import Fleet
from tests.support.processes import wait_for

SHIFT = 300
LEASE_SECONDS = 2
HOLD_SECONDS = 4
DELAY_SECONDS = 5
BUSY = 12
"""Seconds that a loaded machine may take on top; the clocks differ by 25 times as much."""


@pytest.fixture(params=[-SHIFT, SHIFT], ids=["behind", "ahead"])
def pair(request):
    with pair_of_servers(request.param) as pair:
        yield pair


@pytest.fixture
def fleet(pair, tmp_path):
    return Fleet(pair.url, tmp_path, settings={"SPIGOT_LEASE_SECONDS": str(LEASE_SECONDS)})


def fail_over(pair) -> None:
    pair.demote()
    pair.isolate_old()
    pair.lead_to_new()


def finished(fleet: Fleet) -> set[str]:
    return {line["id"] for line in fleet.log() if line["status"] == "finished"}


@pytest.mark.slow
def test_a_hold_and_a_delay_end_in_time(pair, fleet):
    queue = fleet.queue(pair.old)
    with fleet.workers(2):
        refused = queue.enqueue("refused", {"name": "a", "times": 1, "seconds": HOLD_SECONDS})
        wait_for(lambda: BucketReader(pair.old).read("default").held_until)
        held = queue.enqueue("echo", {"text": "held"})
        delayed = queue.enqueue("echo", {"text": "b"}, delay_us=DELAY_SECONDS * 10**6)
        fail_over(pair)

        ids = {refused.id, held.id, delayed.id}
        wait_for(lambda: finished(fleet) == ids, max(HOLD_SECONDS, DELAY_SECONDS) + BUSY)


@pytest.mark.slow
def test_a_dead_workers_job_starts_again_after_its_lease(pair, fleet):
    queue = fleet.queue(pair.old)
    with fleet.workers(1) as dying:
        nap = queue.enqueue("nap", {"seconds": 60, "name": "nap"})
        wait_for(lambda: fleet.notes("nap"))
        fail_over(pair)
        dying.send_signal(signal.SIGKILL)  # those that it started die with it
        dying.wait()
        began = time.monotonic()
        with fleet.workers(1):
            wait_for(lambda: len(fleet.notes("nap")) == 2, 2 * LEASE_SECONDS + BUSY)
            assert time.monotonic() - began >= 1  # it was not taken from one that lives
            assert fleet.spigot("job", "cancel", nap.id).returncode == 0
            wait_for(lambda: fleet.lines_of(nap.id))


@pytest.mark.slow
def test_a_living_workers_job_stays_its_own(pair, fleet):
    queue = fleet.queue(pair.old)
    with fleet.workers(2):
        nap = queue.enqueue("nap", {"seconds": 3 * LEASE_SECONDS, "name": "nap"})
        wait_for(lambda: fleet.notes("nap"))
        fail_over(pair)

        (line,) = fleet.wait_for_lines(1, 3 * LEASE_SECONDS + BUSY)

    assert (line["id"], line["status"], line["attempt"]) == (nap.id, "finished", 1)
    assert len(fleet.notes("nap")) == 2  # it began and ended


@pytest.mark.slow
def test_the_pace_goes_on(pair, fleet):
    fleet.set_rate("5/s")
    queue = fleet.queue(pair.old)
    with fleet.workers(2):
        for number in range(30):
            queue.enqueue("echo", {"text": str(number)})
        fleet.wait_for_lines(10)
        fail_over(pair)
        lines = fleet.wait_for_lines(30, 30 / 5 + BUSY)

    assert len({line["id"] for line in lines}) == 30
    gaps = [later - slot for slot, later in pairwise(sorted(line["slot_at"] for line in lines))]
    assert len([gap for gap in gaps if gap > SHIFT / 2]) == 1  # from one clock to the other
    assert min(gaps) > 0.199
