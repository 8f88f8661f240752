"""What clients are told about their start, against what then happens."""

import pytest

from tests.support.clocked_bucket import SECOND_US, ClockedBucket
from tests.support.simulated_fleet import SimulatedFleet


def enqueue(bucket: ClockedBucket, prefix: str, count: int) -> None:
    bucket.enqueue_all(f"{prefix}-{number:03}" for number in range(1, count + 1))


@pytest.mark.parametrize(
    ("rate", "run_seconds", "max_running"),
    [
        ("10/s", 0.02, None),  # the rate is the narrower place
        pytest.param("60/m", 1.5, None, marks=pytest.mark.slow),
        ("100/s", 0.5, None),  # the workers are
        pytest.param("10/s", 3.0, None, marks=pytest.mark.slow),
        ("100/s", 0.5, 2),  # the number of running jobs is
    ],
)
def test_of_the_hundredth_job_comes_true(redis, rate, run_seconds, max_running):
    bucket = ClockedBucket(redis, rate, capacity=1000)
    bucket.set(max_running=max_running)
    enqueue(bucket, "former", 60)
    fleet = SimulatedFleet(bucket, 4, run_seconds=run_seconds)
    while bucket.status("former-060") != "finished":
        fleet.run(1)
    enqueue(bucket, "job", 120)
    asked_us = bucket.now_us
    told = bucket.read("job-100")

    while bucket.status("job-100") == "queued":
        fleet.run(1)

    (slot_us,) = [claim.slot_us for _, _, claim in fleet.starts if claim.job_id == "job-100"]
    assert told.position == 100
    assert told.estimated_start_in == pytest.approx((slot_us - asked_us) / SECOND_US, rel=0.1)


def test_of_a_low_job_is_a_lower_bound(bucket):
    bucket.enqueue("low", priority="low")
    told = bucket.read("low").estimated_start_in
    enqueue(bucket, "urgent", 5)

    assert bucket.read("low").estimated_start_in >= told + 0.5
