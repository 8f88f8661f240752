"""What is drawn of the starts to come."""

import re

import pytest

from spigot.jobs.bucket.state import BucketState
from spigot.jobs.overview.history import CELLS, Cell
from spigot.jobs.overview.reading import BucketView
from spigot.jobs.overview.run_times import RunTimes
from spigot.webapp.pages.tap_picture import SMALL, tap_picture

NOW_US = 1_800_000_000_000_000
FULL_HEIGHT = SMALL.floor - SMALL.brim


def level_at_the_end(waiting, interval=1.0, run=0.0):
    """Return where the plan of a full bucket's level ends: x, and the part of it that is left."""
    state = BucketState(
        name="openai", rate="1/s", interval=interval, burst=1, capacity=waiting, waiting=waiting,
        delayed=0, running=0, max_running=None, workers=1, concurrency=1, paused=False,
        draining=False, held_until=None, hold_reason=None, hold_kind=None, probing=False,
        next_leak_at=None, sources={}, budgets={}, waits_for=None,
    )  # fmt: skip
    view = BucketView(
        state=state, now_us=NOW_US, runs=RunTimes(run, run), last_start_us=0,
        failed=0, failed_recently=0, finished_recently=0, refused=0, changes=[],
        history=[Cell(0, waiting, interval, None)] * CELLS,
    )  # fmt: skip
    x, y = re.search(r"L(\d+) (\d+)$", tap_picture(view)["depth_plan"]).groups()
    return int(x), (SMALL.floor - int(y)) / FULL_HEIGHT


@pytest.mark.parametrize(
    ("waiting", "more", "x", "left"),
    [
        (150, {}, 650, 0),  # half of the five minutes that are shown
        (300, {}, 700, 0),
        (600, {}, 700, 0.5),
        (100, {"run": 12}, 700, 0.75),  # 100 jobs of 12 s, one at a time: 20 minutes
        (100, {"interval": 6.0}, 700, 0.5),
    ],
)
def test_the_level_at_the_end_of_the_picture_is_what_is_left_then(waiting, more, x, left):
    assert level_at_the_end(waiting, **more) == (x, pytest.approx(left, abs=0.03))
