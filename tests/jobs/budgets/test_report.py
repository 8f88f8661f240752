"""What a running job tells of its budgets, and when."""

import pytest

from spigot import note_response, report_cost
from spigot.jobs.budgets.report import UsedAmounts, costs_told_to
from spigot.jobs.budgets.reserved import Reserved
from spigot.jobs.budgets.upstream_note import UpstreamNote
from spigot.jobs.store import keys
from spigot.worker.running.usage_writer import UsageReport
from tests.support.clocked_bucket import ClockedBucket
from tests.support.round_trips import counted_round_trips

BUDGETS = {
    "spent": {"limit": "6000/m", "burst": 100, "counted": "at_start"},
    "held": {"limit": "6000/m", "burst": 100},
}


@pytest.fixture
def bucket(redis):
    bucket = ClockedBucket(redis, "100/s", capacity=1000, budgets=BUDGETS)
    bucket.enqueue("job", cost={"spent": 10, "held": 10})
    return bucket


@pytest.fixture
def stored(redis):
    def read():
        fields = redis.hgetall(keys.budgets("default"))
        unit, million = 10_000, 1_000_000  # 6000/m are 100 tokens a second: 1 in 10,000 us
        return int(fields[b"spent:level"]) / unit, int(fields[b"held:held"]) / million

    return read


def test_what_goes_beyond_the_reservation_is_charged_once_by_one_round_trip(bucket, redis, stored):
    claim = bucket.claim()
    report = UsageReport(redis)
    assert stored() == (10, 10)
    report.write(claim.token, "spent=5000000 held=5000000", now_us=bucket.now_us)
    assert stored() == (10, 10)

    with counted_round_trips() as sent:
        for _ in range(2):
            report.write(claim.token, "spent=15000000 held=25000000", now_us=bucket.now_us)
    assert len(sent) == 2
    assert stored() == (15, 25)

    bucket.finish(claim, used="spent=15000000 held=25000000")
    assert stored() == (15, 0)
    assert not report.write(claim.token, "spent=99000000", "held:1000000:0:1", bucket.now_us)
    assert stored() == (15, 0)


def test_a_worker_that_dies_has_spent_what_it_reported(bucket, redis, stored):
    claim = bucket.claim()
    UsageReport(redis).write(claim.token, "held=25000000", now_us=bucket.now_us)
    assert stored()[1] == 25

    bucket.reap_until_silent()
    field = redis.hget(keys.budgets("default"), "held:at_us")

    assert stored()[1] == 0
    assert int(redis.hget(keys.budgets("default"), "held:level")) == 25 * 10_000
    assert int(field) > claim.slot_us


@pytest.fixture
def told():
    return []


@pytest.fixture
def used(bucket, told):
    return UsedAmounts(Reserved.of_claim(bucket.claim().fields), told.append)


def test_only_what_goes_beyond_the_reservation_is_told_at_once(used, told):
    with costs_told_to(used):
        report_cost(held=6, spent=10)
        report_cost(held=4)
        assert not told
        report_cost(held=0.5)
        assert told == [used]


@pytest.mark.parametrize("names", [{"hold": 1}, {"held": 1, "hold": 1}])
def test_a_name_of_no_budget_is_told_and_nothing_is_added(used, told, names):
    with costs_told_to(used), pytest.raises(ValueError, match="no budget 'hold'; known: held, spe"):
        report_cost(**names)

    assert used.text == ""


def test_a_bucket_without_budgets_takes_every_name(redis):
    bucket = ClockedBucket(redis, "100/s", capacity=10)
    bucket.enqueue("job")
    used = UsedAmounts(Reserved.of_claim(bucket.claim().fields))
    with costs_told_to(used):
        report_cost(anything=1)


NOTES = [
    ((6000, 6000, 60), False),
    ((6000, 100, 60), False),  # our burst still fits
    ((6000, 99, 60), True),
    ((5999, 5999, 60), True),
    ((9000, 9000, 60), False),
]


@pytest.mark.parametrize(("stated", "is_told"), NOTES)
@pytest.mark.parametrize("name", ["held", "held_tokens"])
def test_only_a_note_that_tightens_is_told_at_once(used, told, stated, is_told, name):
    used.note([UpstreamNote("other", 1, 0, 60), UpstreamNote(name, *stated)])

    assert told == ([used] if is_told else [])


def test_what_was_told_is_told_again_only_if_it_tightens_further(used, told, monkeypatch):
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)  # nothing refills meanwhile
    written = []
    for remaining in (90, 90, 99, 20):
        used.note([UpstreamNote("held", 5000, remaining, 60)])
        if told:
            told.clear()
            used.write_pressing(lambda *said: written.append(said))

    assert [notes for _, notes in written] == [
        "held:5000000000:90000000:60000000",
        "held:5000000000:20000000:60000000",
    ]
    assert used.noted == ""  # the end has nothing to add


def test_what_could_not_be_written_is_left_to_the_end(used):
    def fail(*_):
        raise ConnectionError

    used.note([UpstreamNote("held", 5000, 50, 60)])
    with pytest.raises(ConnectionError):
        used.write_pressing(fail)

    assert used.noted == "held:5000000000:50000000:60000000"


def test_a_claim_tells_what_the_downstream_is_known_to_have_left(bucket, redis):
    first = bucket.claim()
    note = UpstreamNote("held", 200, 150, 60)
    UsageReport(redis).write(first.token, "", note.text, bucket.now_us)
    bucket.enqueue("second", cost={"spent": 1, "held": 20})

    left = Reserved.of_claim(bucket.claim().fields).upstream["held"]

    assert left.limit == 200
    assert 130 <= left.left < 131


def test_a_claim_that_is_answered_again_tells_the_same_reservation(bucket):
    claim = bucket.claim()
    again = bucket.ask(token=claim.token)

    first, second = Reserved.of_claim(claim.fields), Reserved.of_claim(again.fields)
    assert (first.amounts, first.budgets) == (second.amounts, second.budgets)
    assert first.amounts == {"held": 10_000_000, "spent": 10_000_000}


def test_outside_of_a_job_nothing_is_told():
    report_cost(anything=1)
    note_response(object())
