from datetime import UTC, datetime, timedelta

import pytest

from spigot.runtime.time_distance import time_distance

NOW = datetime(2026, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "now"),
        (-3, "3 s ago"),
        (4, "in 4 s"),
        (-119, "119 s ago"),
        (120, "in 2 min"),
        (-7199, "119 min ago"),
        (7200, "in 2 h"),
        (-172_800, "2 d ago"),
        (1e9, "in 11574 d"),
    ],
)
def test_tells_how_far_off_a_time_is(seconds, words):
    assert time_distance(NOW + timedelta(seconds=seconds), NOW) == words
