"""``spigot top``: the same history as the overview, in a terminal."""

import json

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
    assert lines(view)[0] == "2 buckets, 0 need you   1 waits   0 failed"
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


def test_who_has_no_name_on_the_machine_may_watch(redis, monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", unknown)

    assert TopView(redis, 600).text()


def test_without_a_terminal_one_picture_is_printed(bucket, redis_url, monkeypatch):
    monkeypatch.setenv("REDIS_URL", redis_url)

    result = run_spigot("top")

    assert result.exit_code == 0, result.stderr
    assert "1 bucket, 0 need you" in result.stdout
    assert "  default  idle" in result.stdout
    assert ">" not in result.stdout
    assert "quit" not in result.stdout


def test_the_same_is_told_as_data(bucket, redis_url, monkeypatch):
    bucket.enqueue("a")
    monkeypatch.setenv("REDIS_URL", redis_url)

    result = run_spigot("top", "--json")

    (shown,) = json.loads(result.stdout)["buckets"]
    assert (result.exit_code, result.stderr) == (0, "")
    assert (shown["name"], shown["waiting"], shown["pace"]) == ("default", 1, 0)
    assert (shown["failed"], shown["refused"]) == (0, 0)
    assert shown["state"] == ["no worker"]
    assert shown["why"].endswith("no worker is alive. Start one: spigot worker default")


def test_one_picture_has_all_buckets_however_low_the_terminal_is(
    bucket, redis, redis_url, monkeypatch
):
    from spigot.jobs.bucket.config import BucketConfig
    from spigot.jobs.bucket.publishing import BucketPublisher

    names = [f"bucket_{number}" for number in range(12)]
    BucketPublisher(redis).publish(dict.fromkeys(names, BucketConfig()))
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("LINES", "10")

    told = run_spigot("top", "--once").stdout

    assert all(name in told for name in names)


def test_a_rate_is_told_without_its_burst_which_has_no_room(redis):
    from spigot.jobs.bucket.config import BucketConfig
    from spigot.jobs.bucket.publishing import BucketPublisher

    BucketPublisher(redis).publish({"ai": BucketConfig(rate="60/m burst 3")})

    assert "0/m of 60/m   " in lines(TopView(redis, 600))[2]


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([0, 0], "  "), ([1, 8], "▁█"), ([0, 8, 8, 0], " ██ "), ([0.001], "▁"), ([9], "█")],
)
def test_a_sparkline_shows_what_is_little_and_never_more_than_all(values, drawn):
    assert sparkline(values, 8, len(values)) == drawn
