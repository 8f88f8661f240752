"""What one job costs the server in commands and round trips: no change makes that grow unseen.

`benchmarks/job_cost.py` measures processor time, which depends on the machine; these do not.
"""

from collections.abc import Callable

import pytest

from spigot.jobs.bucket.leaky_bucket import Claim
from spigot.jobs.job.queue import IdempotencyKey
from tests.support.round_trips import commands_done, counted_round_trips

MOST = {"enqueue": 14, "enqueue with a key": 14, "start": 35, "end": 25}
"""Commands, those inside scripts too. Lower a number when its script needs less; a higher one needs
a reason."""


@pytest.fixture
def cost(redis) -> Callable[..., tuple[int, int]]:
    """Return a function that counts the commands and the round trips of a call."""

    def count(call: Callable[[], object]) -> tuple[int, int]:
        asking = commands_done(redis)
        asking = commands_done(redis) - asking
        before = commands_done(redis)
        with counted_round_trips() as sent:
            call()
        return commands_done(redis) - before - asking, len(sent)

    return count


def test_each_part_of_a_life_takes_one_round_trip_and_few_commands(bucket, cost):
    def end(claim: object) -> Callable[[], object]:
        assert isinstance(claim, Claim)
        return lambda: bucket.finish(claim, result='{"pages": 3}')

    bucket.enqueue("first")  # scripts are loaded, and what is made once is there
    bucket.finish(bucket.claim())
    bucket.sleep(1)
    claims: list[object] = []
    costs = {
        "enqueue": cost(lambda: bucket.enqueue("a")),
        "enqueue with a key": cost(
            lambda: bucket.enqueue("b", idempotency=IdempotencyKey("key", "of this"))
        ),
        "start": cost(lambda: claims.append(bucket.ask(logged=["token-1"]))),
        "end": cost(lambda: end(claims[0])()),
    }

    assert {part: round_trips for part, (_, round_trips) in costs.items()} == dict.fromkeys(MOST, 1)
    assert all(costs[part][0] <= MOST[part] for part in MOST), costs
