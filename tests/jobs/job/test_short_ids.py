import pytest

from spigot.jobs.job.short_ids import AmbiguousIdError, short_ids, whole_id
from spigot.jobs.store import keys

ONE = "0123456789abcdef0123456789abcdef"
OTHER = "0123456789abffff0123456789abcdef"


@pytest.fixture
def jobs(redis):
    redis.mset({f"other:{number}": 1 for number in range(2500)})
    for job_id in (ONE, OTHER, "nightly-report", "nightly-report-2"):
        redis.hset(keys.job(job_id), "status", "queued")
    redis.sadd(f"{keys.job(ONE)}:dependents", "x")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (ONE, ONE),
        (ONE[:13], ONE),
        (OTHER[:20], OTHER),
        ("nightly-report", "nightly-report"),
        ("nightly-report-", "nightly-report-2"),
        ("ffffffff", "ffffffff"),
        ("0123456", "0123456"),
        ("rq:job:*", "rq:job:*"),
        ("????????", "????????"),
        ("", ""),
    ],
)
def test_finds_the_one_job_that_begins_so(redis, jobs, typed, meant):
    assert whole_id(redis, typed) == meant


@pytest.mark.parametrize("typed", [ONE[:8], ONE[:12], "nightly-r"])
def test_several_that_begin_so_are_told(redis, jobs, typed):
    with pytest.raises(AmbiguousIdError, match=f"several jobs begin with '{typed}'"):
        whole_id(redis, typed)


def test_the_search_is_bounded(redis, jobs, monkeypatch):
    monkeypatch.setattr("spigot.jobs.job.short_ids.MOST_KEYS", 1000)

    with pytest.raises(AmbiguousIdError, match="more than 1000 keys: give the whole id"):
        whole_id(redis, "ffffffff")


def test_lists_show_what_tells_ids_apart():
    assert short_ids([ONE, OTHER, "a" * 32, "short"]) == {
        ONE: ONE[:13],
        OTHER: OTHER[:13],
        "a" * 32: "a" * 8,
        "short": "short",
    }
    assert short_ids([]) == {}
    assert short_ids(["nightly-report", "nightly-report-2"]) == {
        "nightly-report": "nightly-report",
        "nightly-report-2": "nightly-report-",
    }
