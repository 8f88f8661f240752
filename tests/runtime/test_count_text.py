"""How many of something there are, in words."""

import pytest

from spigot.runtime.count_text import count_text


@pytest.mark.parametrize(("number", "text"), [(0, "0 jobs"), (1, "1 job"), (1200, "1,200 jobs")])
def test_one_thing_is_counted_as_one(number, text):
    assert count_text(number, "job") == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 jobs wait"), (1, "1 job waits")])
def test_a_verb_follows_its_number(number, text):
    assert count_text(number, "job waits", "jobs wait") == text
