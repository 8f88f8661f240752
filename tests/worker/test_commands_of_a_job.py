"""What one job costs the server in commands and round trips: no change makes that grow unseen.

`benchmarks/job_cost.py` measures processor time, which depends on the machine; these do not.
"""

from collections.abc import Callable

import pytest

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.job.queue import IdempotencyKey
from tests.support.clocked_bucket import ClockedBucket
from tests.support.round_trips import commands_done, counted_round_trips

MOST = {"enqueue": 9, "enqueue with a key": 12, "start": 23, "end": 21}
"""Commands, those inside scripts too. Lower a number when its script needs less; a higher one needs
a reason."""


@pytest.fixture
def cost(counting_redis) -> Callable[..., tuple[int, int]]:
    """Return a function that counts the commands and the round trips of a call."""

    def count(call: Callable[[], object]) -> tuple[int, int]:
        asking = commands_done(counting_redis)
        asking = commands_done(counting_redis) - asking
        before = commands_done(counting_redis)
        with counted_round_trips() as sent:
            call()
        return commands_done(counting_redis) - before - asking, len(sent)

    return count


def test_each_part_of_a_life_takes_one_round_trip_and_few_commands(counting_redis, cost):
    bucket = ClockedBucket(counting_redis)

    def end(claim: object) -> Callable[[], object]:
        assert isinstance(claim, Claim)
        return lambda: bucket.finish(claim, result='{"pages": 3}')

    def live(name: str) -> dict[str, tuple[int, int]]:
        claims: list[object] = []
        key = IdempotencyKey(name, "of this")
        bucket.sleep(1)
        return {
            "enqueue": cost(lambda: bucket.enqueue(name)),
            "enqueue with a key": cost(lambda: bucket.enqueue(f"{name} again", idempotency=key)),
            "start": cost(lambda: claims.append(bucket.ask(logged=["token-1"]))),
            "end": cost(lambda: end(claims[0])()),
        }

    bucket.enqueue("first")  # scripts are loaded, and what is made once is there
    bucket.finish(bucket.claim())
    lives = [live(name) for name in ("a", "b", "c")]

    for part, most in MOST.items():
        assert {life[part][1] for life in lives} == {1}
        # the least, for a script also does things that are due now and then
        assert min(life[part][0] for life in lives) <= most, lives
