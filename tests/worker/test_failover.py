"""Everything follows an address to the new primary, though no connection to the old one breaks."""

import time
from contextlib import ExitStack

import pytest
from redis import Redis
from rq.command import send_stop_job_command

from spigot.jobs.job.following import follow
from spigot.jobs.job.state import JobReader
from spigot.runtime.server.redis_connection import connect
from tests.support.failover import Pair
from tests.support.fleet import Fleet, Web
from tests.support.processes import wait_for

SOON = 3.0
"""Seconds; one or two, and some for a busy machine."""

CHANNELS = 3
"""Of workers: that of each of the two, and that of holds."""


@pytest.fixture
def fleet(pair, tmp_path):
    fleet = Fleet(pair.url, tmp_path, settings={"SPIGOT_ADMIN_PASSWORD": "secret"})
    fleet.queue(pair.old)
    return fleet


def post(web: Web, type_name: str, **payload: object) -> str | None:
    """Return the job's id, or None while jobs are refused."""
    status, answer = web.ask("POST", "/jobs", {"type": type_name, "payload": payload})
    assert status in (202, 503), answer
    return answer["id"] if status == 202 else None


def post_soon(web: Web, type_name: str, **payload: object) -> str:
    ids: list[str] = []
    wait_for(lambda: ids.append(post(web, type_name, **payload) or "") or ids[-1], SOON)
    return ids[-1]


def become_replica_of_nobody(pair: Pair) -> None:
    """The old primary still answers, and hears of nothing any more."""
    pair.demote()
    pair.isolate_old()


@pytest.mark.slow
def test_web_and_workers_go_on_at_the_new_primary(pair, fleet):
    with fleet.workers(2), fleet.web() as web, ExitStack() as streams:
        nap = post_soon(web, "nap", seconds=60)
        wait_for(lambda: web.ask("GET", f"/jobs/{nap}")[1]["status"] == "started")
        stream = streams.enter_context(web.open(f"/jobs/{nap}/events"))
        echoes = [post_soon(web, "echo", text=str(n)) for n in range(20)]
        fleet.wait_for_lines(20)
        wait_for(lambda: pair.old.pubsub_numsub("spigot:1:job_events")[0][1] >= 1)

        become_replica_of_nobody(pair)
        wait_for(lambda: web.ask("GET", "/readyz")[0] == 503, SOON)
        assert web.ask("GET", "/livez")[0] == 200
        assert post(web, "echo", text="refused") is None

        pair.lead_to_new()
        began = time.monotonic()
        wait_for(lambda: web.ask("GET", "/readyz")[0] == 200, SOON)
        after = [post_soon(web, "echo", text=str(n)) for n in range(20, 40)]
        wait_for(lambda: len(fleet.log()) >= 40, SOON + 2)
        assert time.monotonic() - began < 2 * SOON
        reader = JobReader(pair.new)
        assert {state.status for state in reader.read_many([*echoes, *after])} == {"finished"}

        # what only listens is there as well: the workers' channel of commands, and a stream
        wait_for(lambda: pair.new.pubsub_numsub("spigot:1:job_events")[0][1] >= 1, SOON)
        wait_for(lambda: len(pair.new.pubsub_channels("rq:pubsub:*")) == CHANNELS)
        send_stop_job_command(pair.new, nap)
        stream.settimeout(SOON)
        told = b""
        while b'"cancelled"' not in told:
            told += stream.recv(1 << 16)


@pytest.mark.slow
def test_a_pool_without_a_free_place_hears_commands_at_the_new_primary(pair, fleet):
    """Before it renews a lease, or has anything else to write."""
    fleet.environment["SPIGOT_LEASE_SECONDS"] = "300"
    queue = fleet.queue(pair.old)
    naps = [queue.enqueue("nap", {"seconds": 60}).id for _ in range(2)]

    def all_are(status: str, server: Redis) -> bool:
        return all(job.status == status for job in JobReader(server).read_many(naps))

    with fleet.workers(1, "--concurrency", "2"):
        wait_for(lambda: all_are("started", pair.old))

        become_replica_of_nobody(pair)
        pair.lead_to_new()
        wait_for(lambda: len(pair.new.pubsub_channels("rq:pubsub:*")) == CHANNELS - 1, 20)
        for nap in naps:
            send_stop_job_command(pair.new, nap)
        wait_for(lambda: all_are("cancelled", pair.new))


@pytest.mark.slow
def test_a_web_that_only_reads_notices_it_too(pair, fleet):
    with fleet.web() as web:
        job = post_soon(web, "echo", text="a")
        wait_for(lambda: web.ask("GET", f"/jobs/{job}")[0] == 200)

        become_replica_of_nobody(pair)
        pair.lead_to_new()
        pair.new.hset(f"rq:job:{job}", "status", "failed")

        wait_for(
            lambda: all(
                web.ask("GET", f"/jobs/{job}")[1].get("status") == "failed" for _ in range(10)
            ),
            2 * SOON,
        )


@pytest.mark.slow
def test_a_program_that_follows_a_job_hears_of_its_end(pair, fleet):
    queue = fleet.queue(pair.old)
    job = queue.enqueue("echo", {"text": "a"})
    redis = connect(pair.url, timeout=2)
    states = follow(redis, job.id, 0.1)
    assert next(states).status == "queued"
    assert next(states).status == "queued"

    become_replica_of_nobody(pair)
    pair.lead_to_new()
    pair.new.hset(f"rq:job:{job.id}", mapping={"status": "failed", "ended_at": "2026-01-01"})

    deadline = time.monotonic() + 2 * SOON
    for state in states:
        assert time.monotonic() < deadline
        last = state
    assert last.status == "failed"
    redis.close()


def test_one_reply_of_a_replica_renews_all_connections_to_the_address(pair):
    writer, reader = (connect(pair.url, timeout=2) for _ in range(2))
    reader.get("a")
    writer.set("a", "1")
    become_replica_of_nobody(pair)
    pair.lead_to_new()
    pair.new.set("a", "2")
    assert reader.get("a") == b"1"

    with pytest.raises(Exception, match="read only replica"):
        writer.set("a", "3")

    assert reader.get("a") == b"2"
    assert writer.set("a", "3")
    writer.close()
    reader.close()
