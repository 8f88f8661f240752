"""Functions that harm their process end visibly, and the jobs after them run."""

import pytest
from redis import Redis
from rq import Queue

from tests.support.consistency import problems, status_of
from tests.support.processes import wait_for

from . import misbehaviour
from .misbehaviour import HARMS, IN_THE_WORKER, good

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ENDED = ("finished", "failed", "canceled")
SECONDS = 60


def path_of(function):
    return f"{misbehaviour.__name__}.{function.__name__}"


def ends_of(redis: Redis, functions) -> dict[str, tuple[str, list[str]]]:
    """Have each run, and behind it three that do no harm; return how it and they ended."""
    queue = Queue("default", connection=redis, serializer="json")
    ids = {
        function.__name__: [queue.enqueue(path_of(each)).id for each in [function, *[good] * 3]]
        for function in functions
    }
    all_ids = [each for group in ids.values() for each in group]
    wait_for(lambda: all(status_of(redis, each) in ENDED for each in all_ids), SECONDS)
    assert not list(problems(redis, "default", all_ids))
    statuses = {name: [status_of(redis, each) for each in group] for name, group in ids.items()}
    return {name: (first, others) for name, (first, *others) in statuses.items()}


def unexpected(ends, expected) -> dict[str, tuple[str, list[str]]]:
    """Return those that did not end as they were to, or that harmed the jobs behind them."""
    well = ["finished"] * 3
    return {
        name: (first, others)
        for name, (first, others) in ends.items()
        if first not in expected(getattr(misbehaviour, name)) or others != well
    }


@pytest.fixture
def ready(fleet):
    fleet.settings = {"SPIGOT_LEASE_SECONDS": "2", "SPIGOT_MAX_REAPS": "2"}
    return fleet


def test_a_work_horse_harms_nobody_else(ready, redis):
    with ready.run("worker", "default", "--count", "1"):
        assert unexpected(ends_of(redis, HARMS), HARMS.__getitem__) == {}


def test_a_worker_that_runs_jobs_itself_goes_on(ready, redis):
    with ready.run("worker", "default", "--count", "1", "--simple"):
        ends = ends_of(redis, IN_THE_WORKER)

    assert unexpected(ends, HARMS.__getitem__) == {}


def test_a_client_names_no_function(ready):
    """What plain RQ does by its place on the server, nobody does over HTTP."""
    with ready.web() as web:
        for name in ("os.system", "subprocess.run", path_of(misbehaviour.crash), "builtins.exec"):
            status, problem = web.ask("POST", "/jobs", {"type": name, "payload": {}})
            assert status == 422, problem
