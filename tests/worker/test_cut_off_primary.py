"""A primary that is cut off: from all, or with its clients from replicas and sentinels."""

import time
from contextlib import ExitStack

import pytest

from spigot.jobs.job.state import JobReader
from spigot.runtime.server.redis_connection import connect
from tests.support.fleet import Fleet
from tests.support.posting import posting, wait_until_all_have_followed
from tests.support.processes import wait_for
from tests.support.sentinel_stack import CLIENTS, INSIDE, SentinelStack, sentinel_stack

pytestmark = pytest.mark.slow

SOON = 5.0
"""Seconds; one, and some for a busy machine."""

MOST_LAG = 6.0
"""The same for ``min-replicas-max-lag 1``: the server looks at it once a second."""

PATIENCE = 40
SOME = 15


@pytest.fixture(scope="module")
def shared_stack():
    with sentinel_stack(has_cables=True) as stack:
        yield stack


@pytest.fixture
def stack(shared_stack):
    yield shared_stack
    shared_stack.heal()
    for server in shared_stack.servers:
        server.client.config_set("min-replicas-to-write", 0)
    shared_stack.primary.client.flushall()


@pytest.fixture
def fleet(stack, tmp_path):
    return Fleet(
        stack.url, tmp_path, settings={"SPIGOT_GRACE_SECONDS": "0", "SPIGOT_LEASE_SECONDS": "3"}
    )


def cut_with_its_clients(stack: SentinelStack) -> None:
    """Leave the primary and its clients to themselves: no replica and no sentinel is heard."""
    stack.primary.cable.drop(INSIDE)
    for sentinel in stack.sentinels:
        sentinel.cable.drop(CLIENTS)


def kept_of(redis, ids) -> set[str]:
    return {state.id for state in JobReader(redis).read_many(list(ids)) if state}


def test_all_goes_on_within_a_second_though_packets_are_dropped(stack, fleet):
    with fleet.workers(2), fleet.web() as web, ExitStack() as streams:
        nap = web.ask("POST", "/jobs", {"type": "nap", "payload": {"seconds": 600}})[1]["id"]
        streams.enter_context(web.open(f"/jobs/{nap}/events")).recv(1)
        with posting(web) as poster:
            wait_for(lambda: len(fleet.log()) > SOME)
            old = stack.primary
            old.cable.drop(CLIENTS, INSIDE)
            switched = stack.wait_for_switch(old)
            new = streams.enter_context(connect(stack.url, timeout=2))
            wait_until_all_have_followed(fleet, poster, new, since=switched, seconds=SOON)
            wait_for(lambda: len(poster.accepted_after(switched)) > SOME, PATIENCE)
        assert kept_of(new, poster.accepted) == poster.accepted.keys()


@pytest.mark.parametrize("guard", ["nothing", "min-replicas-to-write", "SPIGOT_WAIT_REPLICAS"])
def test_what_a_primary_takes_that_is_cut_off_with_its_clients(stack, fleet, guard):
    if guard == "min-replicas-to-write":
        for server in stack.servers:
            server.client.config_set("min-replicas-max-lag", 1)
            server.client.config_set(guard, 1)
    elif guard == "SPIGOT_WAIT_REPLICAS":
        fleet.settings |= {guard: "2", "SPIGOT_WAIT_SECONDS": "0.5"}
    with fleet.workers(), fleet.web() as web, posting(web) as poster:
        wait_for(lambda: len(poster.accepted) > SOME)
        old, cut_at = stack.primary, time.monotonic()
        cut_with_its_clients(stack)
        switched = stack.wait_for_switch(old)
        if guard == "nothing":
            wait_for(lambda: len(poster.accepted_after(switched)) > SOME, PATIENCE)
        else:
            wait_for(lambda: poster.refused_after(max(switched, cut_at + MOST_LAG)) > 1, PATIENCE)
        healed = time.monotonic()
        stack.heal()
        back, new = time.monotonic(), stack.primary
        assert new is not old
        wait_for(lambda: len(poster.accepted_after(back)) > SOME, PATIENCE)
        poster.stop()
        kept = kept_of(new.client, poster.accepted)
        lost = {one: poster.accepted[one] for one in poster.accepted.keys() - kept}
        # what was taken just before the cut may have been on its way to the replicas
        assert all(at > cut_at - SOON for at in lost.values())
        if guard == "nothing":
            assert len([at for at in lost.values() if switched < at < healed]) >= SOME
        elif guard == "min-replicas-to-write":
            assert all(at < cut_at + MOST_LAG for at in lost.values())
        else:
            assert not lost
        urgent = {"type": "echo", "payload": {"text": "a"}, "priority": "high"}
        last = web.ask("POST", "/jobs", urgent)[1]["id"]
        wait_for(lambda: web.ask("GET", f"/jobs/{last}")[1]["status"] == "finished", PATIENCE)
