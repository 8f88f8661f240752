"""Web and workers follow the sentinels to each new primary, and lose nothing that they took."""

import json
import signal
import time
from contextlib import ExitStack
from itertools import pairwise

import pytest

from spigot.jobs.job.state import JobReader
from spigot.runtime.server.redis_connection import connect
from tests.support.fleet import Fleet
from tests.support.posting import posting, wait_until_all_have_followed
from tests.support.processes import wait_for
from tests.support.sentinel_stack import Node, SentinelStack, sentinel_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

RATE = 20

SOON = 2.0
"""Seconds; one, and some for a busy machine."""

MOST_REFUSED = 150
"""Requests of the few seconds in which there is no primary; they are answered at once."""

LIMIT = {"limit": 1, "window": 600, "match": "GET /api/status"}


@pytest.fixture(scope="module")
def shared_stack():
    with sentinel_stack() as stack:
        yield stack


@pytest.fixture
def stack(shared_stack):
    yield shared_stack
    shared_stack.heal()
    shared_stack.primary.client.flushall()


@pytest.fixture
def fleet(stack, tmp_path):
    settings = {"SPIGOT_GRACE_SECONDS": "0", "SPIGOT_LEASE_SECONDS": "3"}
    fleet = Fleet(stack.url, tmp_path, rate=f"{RATE}/s", settings=settings)
    (tmp_path / "rate_limits.json").write_text(json.dumps({"status": LIMIT}))
    return fleet


def kill_with_a_sentinel(stack: SentinelStack, primary: Node) -> None:
    stack.sentinels[0].signal(signal.SIGSTOP)  # the first that is asked, and it does not answer
    primary.kill()


ENDS = {
    "planned": lambda stack, primary: stack.fail_over(),
    "killed": kill_with_a_sentinel,
    "hanging": lambda stack, primary: primary.signal(signal.SIGSTOP),
}


@pytest.mark.parametrize("end", ENDS)
def test_all_goes_on_within_a_second_of_the_switch(stack, fleet, end):
    with fleet.workers(2), fleet.web() as web, ExitStack() as streams:
        assert web.ask("GET", "/api/status")[0] == 200  # all that its limit allows
        nap = web.ask("POST", "/jobs", {"type": "nap", "payload": {"seconds": 600}})[1]["id"]
        wait_for(lambda: web.ask("GET", f"/jobs/{nap}")[1]["status"] == "started")
        streams.enter_context(web.open(f"/jobs/{nap}/events")).recv(1)
        with posting(web) as poster:
            wait_for(lambda: len(fleet.log()) > RATE)
            old = stack.primary
            ENDS[end](stack, old)
            switched = stack.wait_for_switch(old)
            new = streams.enter_context(connect(stack.url, timeout=2))
            wait_until_all_have_followed(fleet, poster, new, since=switched, seconds=SOON)
            assert web.ask("GET", "/api/status")[0] == 429
            wait_for(lambda: len(poster.accepted_after(switched + SOON)) > RATE)
        assert len(poster.refused) <= (0 if end == "planned" else MOST_REFUSED)

        reader = JobReader(new)
        kept = [state.id for state in reader.read_many(list(poster.accepted)) if state]
        lost = poster.accepted.keys() - kept
        assert not lost or end == "planned"
        wait_for(lambda: {state.status for state in reader.read_many(kept)} == {"finished"}, 150)
        # in a planned failover the old primary hands out slots for a moment beside the new one
        since = time.time() - time.monotonic() + switched + SOON if end == "planned" else 0
        assert least_gap(fleet.log(), since) >= 1 / RATE - 0.0001


def least_gap(log: list[dict], since: float) -> float:
    """Return the least time between two slots later than ``since``, in seconds."""
    slots = sorted(line["slot_at"] for line in log if line["slot_at"] > since)
    return min(later - slot for slot, later in pairwise(slots))
