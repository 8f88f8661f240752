"""``spigot top``: the same history as the overview, in a terminal."""

import pytest
from click import unstyle

from spigot.jobs.bucket.state import BucketReader
from spigot.launch.top import TopView
from spigot.launch.top_screen import sparkline
from tests.support.command_line import run_spigot


@pytest.fixture
def view(bucket, redis):
    """With one job that started, one that waits, and a second bucket that is idle."""
    from spigot.jobs.bucket.config import BucketConfig
    from spigot.jobs.bucket.publishing import BucketPublisher

    BucketPublisher(redis).publish({"other": BucketConfig()})
    for name in ("a", "b"):
        bucket.enqueue(name)
    bucket.finish(bucket.claim())
    return TopView(redis, 600)


def lines(view):
    return unstyle(view.text()).splitlines()


def test_each_bucket_has_its_word_its_reason_and_two_sparklines(view):
    assert lines(view)[0] == "2 buckets, 0 need you   1 wait   0 failed"
    assert lines(view)[1].startswith("> default  at its rate  one start each 0.1 s")
    assert "1 of 100" in lines(view)[2]


@pytest.mark.parametrize(("columns", "rows"), [("80", "24"), ("40", "8"), ("200", "60")])
def test_it_fits_the_terminal(view, monkeypatch, columns, rows):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", rows)

    assert len(lines(view)) <= int(rows)
    assert all(len(line) <= int(columns) for line in lines(view))


def test_keys_pause_resume_and_release_the_chosen_bucket(view, redis):
    view.text()
    buckets = BucketReader(redis)

    assert view.press("p")
    assert buckets.read("default").paused
    assert "default: paused" in view.text()

    assert view.press("r")
    assert not buckets.read("default").paused

    assert view.press("l")
    assert "default was not held" in view.text()

    assert view.press("j")
    assert view.press("p")
    assert buckets.read("other").paused
    assert not view.press("q")


def test_without_a_terminal_one_picture_is_printed(bucket, redis_url, monkeypatch):
    monkeypatch.setenv("REDIS_URL", redis_url)

    result = run_spigot("top")

    assert result.exit_code == 0, result.stderr
    assert "1 bucket, 0 need you" in result.stdout


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([0, 0], "  "), ([1, 8], "▁█"), ([0, 8, 8, 0], " ██ "), ([0.001], "▁"), ([9], "█")],
)
def test_a_sparkline_shows_what_is_little_and_never_more_than_all(values, drawn):
    assert sparkline(values, 8, len(values)) == drawn
