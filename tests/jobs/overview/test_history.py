"""What the scripts keep of the last 30 minutes, and how it is read."""

import pytest

from spigot.jobs.overview.history import CELL_BYTES, CELLS, Cell, read_history
from spigot.jobs.overview.reading import OverviewReader
from spigot.jobs.store import keys
from tests.support.clocked_bucket import ClockedBucket

HISTORY = keys.history("default")


def cells(bucket, last=5) -> list[Cell]:
    """Return the last cells as a page shows them."""
    [view] = OverviewReader(bucket.redis, 600).read(["default"], now_us=bucket.now_us)
    return view.history[-last:]


def starts(bucket, last=5):
    return [cell.starts for cell in cells(bucket, last)]


class TestScripts:
    def test_starts_are_counted_in_cells_of_five_seconds(self, bucket):
        for number in range(4):
            bucket.enqueue(f"j{number}")
        bucket.finish(bucket.claim())
        bucket.finish(bucket.claim())
        bucket.sleep(10)
        bucket.finish(bucket.claim())

        assert starts(bucket) == [0, 0, 2, 0, 1]
        assert [cell.waiting for cell in cells(bucket, 3)] == [2, 2, 1]

    def test_is_written_when_the_next_cell_begins_and_by_no_other_start(self, counting_redis):
        redis, bucket = counting_redis, ClockedBucket(counting_redis)

        def written():
            return redis.info("commandstats").get("cmdstat_setrange", {"calls": 0})["calls"]

        before = written()
        for number in range(4):
            bucket.enqueue(f"j{number}")
        for _ in range(3):
            bucket.finish(bucket.claim())
        assert written() == before
        assert starts(bucket, 1) == [3]

        bucket.sleep(5)
        bucket.finish(bucket.claim())

        assert written() == before + 1
        assert starts(bucket, 2) == [3, 1]

    def test_keeps_the_starts_of_a_cell_in_which_a_hold_began(self, bucket):
        for number in range(3):
            bucket.enqueue(f"j{number}")
        bucket.finish(bucket.claim())
        bucket.hold(bucket.claim(), 12)
        bucket.sleep(20)
        bucket.claim()

        assert starts(bucket) == [2, 0, 0, 0, 1]
        assert [cell.stop for cell in cells(bucket)] == [None, "held", "held", None, None]

    def test_keeps_the_starts_before_a_look_at_a_paused_bucket(self, bucket):
        for number in range(3):
            bucket.enqueue(f"j{number}")
        bucket.finish(bucket.claim())
        bucket.finish(bucket.claim())
        bucket.set(paused=True)
        bucket.sleep(5)
        bucket.ask()
        bucket.sleep(5)
        bucket.ask()

        assert starts(bucket, 3) == [2, 0, 0]
        assert [cell.stop for cell in cells(bucket, 3)] == [None, "paused", "paused"]

    def test_what_waits_behind_a_pause_is_seen_each_cell(self, bucket):
        bucket.set(paused=True)
        for number in range(3):
            bucket.enqueue(f"j{number}")
            bucket.ask()
            bucket.sleep(5)

        assert [cell.waiting for cell in cells(bucket, 4)] == [1, 2, 3, 3]
        assert [cell.stop for cell in cells(bucket, 4)] == ["paused"] * 4

    def test_a_hold_is_seen_from_its_refusal_to_the_next_start(self, bucket):
        bucket.enqueue("refused")
        bucket.hold(bucket.claim(), 20)
        bucket.sleep(10)
        assert [cell.stop for cell in cells(bucket, 2)] == ["held", "held"]

        bucket.sleep(15)
        bucket.claim()
        bucket.sleep(5)
        assert [cell.stop for cell in cells(bucket, 4)] == ["held", None, None, None]

    def test_a_changed_rate_is_seen_from_the_next_start_on(self, bucket):
        bucket.enqueue("before")
        bucket.finish(bucket.claim())
        bucket.sleep(10)
        bucket.set(rate="2/s")
        bucket.enqueue("after")
        bucket.finish(bucket.claim())

        assert [cell.rate for cell in cells(bucket, 3)] == [10, 10, 2]

    def test_nothing_is_written_while_nothing_waits(self, bucket, redis):
        for name in ("first", "last"):
            bucket.enqueue(name)
            bucket.sleep(5)
            bucket.finish(bucket.claim())
        written = redis.get(HISTORY)
        assert written
        for _ in range(3):
            bucket.sleep(5)
            bucket.ask()

        assert redis.get(HISTORY) == written

    def test_it_never_grows(self, bucket, redis):
        for number in range(9):
            bucket.enqueue(f"j{number}")
            bucket.sleep(300)
            bucket.finish(bucket.claim())

        assert redis.strlen(HISTORY) <= CELLS * CELL_BYTES
        assert sum(starts(bucket, CELLS)) == 6  # the others are older than half an hour

    def test_a_key_of_another_type_stops_no_job(self, bucket, redis):
        redis.lpush(HISTORY, "mine")
        bucket.enqueue("job")

        assert bucket.finish(bucket.claim())
        bucket.enqueue("next")
        bucket.sleep(5)
        assert bucket.finish(bucket.claim())
        assert starts(bucket, 2) == [0, 1]  # the last cell is in the bucket's hash


def read(*written, now=100, waiting=0, stop=None):
    """Read cells given as (number, starts, waiting, until)."""
    stored = bytearray(b"\0" * CELLS * CELL_BYTES)
    for number, began, waited, until in written:
        at = number % CELLS * CELL_BYTES
        text = f"{number:9d}{began:7d}{waited:8d}{100_000:12d}{until:11d}".encode()
        stored[at : at + CELL_BYTES] = text
    now_us = (now * 5 + 2) * 1_000_000
    return read_history(bytes(stored), now_us, waiting=waiting, interval_us=100_000, stop=stop)


class TestReading:
    def test_what_waits_between_two_looks_lies_between_them(self):
        assert [cell.waiting for cell in read((90, 1, 10, 0), waiting=20)[-11:]] == [*range(10, 21)]

    def test_nothing_waited_before_a_history_that_begins_late(self):
        assert [cell.waiting for cell in read((90, 1, 10, 0), waiting=20)[-12:-10]] == [0, 10]
        assert [cell.waiting for cell in read(waiting=20)[-3:]] == [0, 0, 20]

    def test_what_waited_before_the_half_hour_waits_at_its_begin(self):
        found = read((100 - CELLS, 1, 30, 0), waiting=30)

        assert {cell.waiting for cell in found} == {30}

    def test_a_round_before_is_not_shown(self):
        assert sum(cell.starts for cell in read((100 - CELLS, 7, 0, 0))) == 0

    def test_nobody_looking_at_waiting_jobs_is_shown(self):
        stops = [cell.stop for cell in read((80, 5, 9, 0), waiting=12, stop="no worker")]

        assert stops[-20:] == ["no worker"] * 20
        assert set(stops[:-20]) == {None}

    def test_an_idle_bucket_lacks_no_worker(self):
        assert {cell.stop for cell in read((80, 5, 0, 0), (95, 5, 0, 0))} == {None}

    @pytest.mark.parametrize("stored", [b"", b"\xff" * 47, b"x" * 60_000, b"1" * 47 * 360])
    def test_what_is_no_history_reads_as_nothing(self, stored):
        found = read_history(stored, 10**15, waiting=3, interval_us=10**6, stop=None)

        assert len(found) == CELLS
        assert sum(cell.starts for cell in found) == 0
