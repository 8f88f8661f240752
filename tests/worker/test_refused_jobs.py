"""What each kind of refusal comes to with real workers, those that fork and those that do not."""

import pytest

from spigot.jobs.bucket.state import BucketReader
from tests.support.consistency import status_of, wait_for_lines

LATE = 2.0
"""Seconds that a busy machine may need beside what holds and slots take."""

INTERVAL = 0.05


@pytest.fixture
def numbers():
    return {"rate": "20/s"}


@pytest.fixture(
    params=[
        pytest.param(False, id="forking", marks=pytest.mark.slow),
        pytest.param(True, id="simple"),
    ]
)
def lines(request, start_worker, tmp_path):
    """Return a function that starts a worker and waits for lines of the result log."""

    def wait(number: int, **settings):
        start_worker(simple=request.param, **settings)
        return wait_for_lines(tmp_path / "results.jsonl", number)

    return wait


def test_what_is_too_large_fails_at_once_and_its_bucket_goes_on(redis, job_queue, lines):
    large = job_queue.enqueue("unserved", {"kind": "too_large"})
    for number in range(5):
        job_queue.enqueue("echo", {"value": number})

    first, *others = lines(6)

    assert (first["id"], first["status"], first["attempt"]) == (large.id, "refused", 1)
    assert status_of(redis, large.id) == "failed"
    assert {line["status"] for line in others} == {"finished"}
    assert others[-1]["slot_at"] - first["slot_at"] < 5 * INTERVAL + LATE
    assert BucketReader(redis).read("default").held_until is None


@pytest.mark.slow
def test_what_is_never_served_delays_the_others_by_three_holds_and_fails(redis, job_queue, lines):
    hold, refusals = 0.4, 5
    culprit = job_queue.enqueue("unserved", {"kind": "wait", "seconds": hold})
    others = [job_queue.enqueue("echo", {"value": number}).id for number in range(40)]

    found = lines(40 + refusals, max_refusals=refusals)

    slots = sorted(line["slot_at"] for line in found)
    served = [line["id"] for line in found if line["status"] == "finished"]
    last = max(line["slot_at"] for line in found if line["status"] == "finished")
    of_culprit = [line["status"] for line in found if line["id"] == culprit.id]
    holds = [line["slot_at"] for line in found if line["id"] == culprit.id][:3]
    assert served == others
    assert sum(line["slot_at"] < last for line in found) == 3 + len(others) - 1
    assert all(slots[slots.index(slot) + 1] - slot < hold + INTERVAL + LATE for slot in holds)
    assert of_culprit == ["rate_limited"] * (refusals - 1) + ["refused"]
    assert status_of(redis, culprit.id) == "failed"


def test_a_quota_is_waited_for_until_its_stated_reset(redis, job_queue, lines):
    payload = {"kind": "quota", "times": 1, "seconds": 1.0}
    job = job_queue.enqueue("unserved", payload)
    job_queue.enqueue("echo", {"value": 1})

    refused, *rest = lines(3)

    assert [line["status"] for line in (refused, *rest)] == ["rate_limited", "finished", "finished"]
    assert rest[0]["id"] == job.id
    assert rest[0]["slot_at"] >= refused["slot_at"] + 1.0
    state = BucketReader(redis).read("default")
    assert (state.hold_kind, state.probing) == (None, False)
