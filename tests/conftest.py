"""One private server for the whole run, emptied after each test."""

import gc
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers
from redis import Redis

from spigot.launch.server_program import find_server_program
from spigot.webapp.door.rate_limits import refusal_counts
from tests.support.clocked_bucket import ClockedBucket
from tests.support.compiled_once import (
    share_driver_version,
    share_route_builders,
    share_schemas,
    share_templates,
)
from tests.support.failover import Pair, pair_of_servers
from tests.support.fleet import Fleet
from tests.support.servers import own_server

# The tests start hundreds of interpreters: what one has compiled, the others need not.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The same few examples in each run: one that fails is the change's fault. A search for new ones is
# `pytest --hypothesis-profile=search`.
settings.register_profile(
    "repeat", max_examples=50, deadline=None, derandomize=True, print_blob=True
)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("repeat")

# Else examples come from the numbers and texts in all of our files too: they would change with each
# line that is edited, and each test process would read them all.
providers._get_local_constants = providers.Constants  # type: ignore[assignment]

share_driver_version()
share_route_builders()
share_schemas()
share_templates()


def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: half of its time a test waits for a process, a server or a moment."""
    return 2 * len(os.sched_getaffinity(0))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let ``--dist loadscope`` hand out tests one by one, so that none is left with a long file."""
    if config.getvalue("dist") != "loadscope":
        return None
    from tests.support.one_by_one import OneByOneScheduling  # imports what only one process needs

    return OneByOneScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let each process begin to import elsewhere: what one has compiled, the others need not."""
    report = yield
    if isinstance(collector, pytest.Dir) and report.passed:
        number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        start = len(report.result) // 2 if number & 2 else 0
        report.result = [*report.result[start:], *report.result[:start]][:: -1 if number & 1 else 1]
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those begin first that may take longest, so that none is left over at the end."""

    def patience(item: pytest.Item) -> tuple[float, Path]:
        mark = item.get_closest_marker("timeout")
        return -mark.args[0] if mark else 0, item.path

    items.sort(key=patience)  # also puts those in order that were collected in another


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Spare the collector the thousands of tests, so that it looks at what tests leave alone."""
    gc.disable()
    result = yield
    gc.collect()
    gc.freeze()
    gc.enable()
    return result


def pytest_sessionstart() -> None:
    """Set what holds for all tests; a fixture would be looked up again for each of them."""
    refusal_counts.INTERVAL = 0.02  # doors write their refusals soon, unless a test asks
    os.environ.pop("COLUMNS", None)  # lines are whole, whatever width pytest-xdist sets


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a server that only this test run uses; no port, no disk."""
    program = find_server_program().path
    with own_server(program=program) as server:
        yield server.url


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """Empty at first, whatever was left by tests and processes that have the URL only."""
    with Redis.from_url(redis_url) as connection:
        _empty(connection)
        yield connection
        _empty(connection)


@pytest.fixture
def counting_redis() -> Iterator[Redis]:
    """An empty server of this test alone, which counts the commands of nobody else."""
    with own_server() as server, Redis.from_url(server.url) as connection:
        yield connection


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary and its replica, of which the test may make what it likes."""
    with pair_of_servers() as pair:
        yield pair


@pytest.fixture(scope="session")
def kept_pair() -> Iterator[Pair]:
    with pair_of_servers() as pair:
        yield pair


@pytest.fixture
def shared_pair(kept_pair: Pair) -> Iterator[Pair]:
    """The same for all tests that leave the primary what it is; empty, with no user but one."""
    yield kept_pair
    kept_pair.hang_new(False)
    kept_pair.old.flushall()
    for user in {*kept_pair.old.acl_users()} - {"default"}:
        kept_pair.old.acl_deluser(user)


@pytest.fixture
def soon(redis: Redis) -> Iterator[Callable[..., None]]:
    """Return a function that does something while the test waits for what comes of it."""
    timers: list[threading.Timer] = []

    def do_soon(
        call: Callable[..., Any], *arguments: Any, seconds: float = 0.3, **options: Any
    ) -> None:
        timers.append(threading.Timer(seconds, partial(call, *arguments, **options)))
        timers[-1].start()

    yield do_soon
    for timer in timers:
        timer.join()  # what it does needs the connection, and may last longer than the test


@pytest.fixture
def begun_threads() -> Callable[[], set[str]]:
    """Return a function that names the threads which began in this test and still run."""
    before = set(threading.enumerate())  # those of other tests may run on
    return lambda: {thread.name for thread in set(threading.enumerate()) - before}


def _empty(connection: Redis) -> None:
    _let_doors_write()
    connection.flushall()


def _let_doors_write() -> None:
    """Wait for what doors still write of their refusals: the next test would find it."""
    for thread in threading.enumerate():
        if thread.name == "refusal-counts":
            thread.join()


@pytest.fixture
def bucket(redis: Redis) -> ClockedBucket:
    return ClockedBucket(redis)


@pytest.fixture
def fleet(redis: Redis, redis_url: str, tmp_path: Path) -> Fleet:
    """Processes of Spigot, which a test starts, on the server of this run."""
    return Fleet(redis_url, tmp_path)
