"""The examples under a whole Spigot, as ``spigot up`` runs it."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support.spigot_up import Stack, spigot_up
from tests.support.visitors import Visitor

SHORT_WORK = {"EXAMPLES_REQUEST_SECONDS": "0.3", "EXAMPLES_DOCUMENT_SECONDS": "0.6"}
QUICK_BUCKETS = {
    "default": {"rate": "10/s", "capacity": 1000},
    "documents": {"rate": "20/s", "capacity": 100, "workers": 1, "concurrency": 3},
    "requests": {"rate": "20/s", "capacity": 100, "workers": 1, "concurrency": 3},
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One Spigot for all tests that do not need it empty; each visits from another address."""
    folder = tmp_path_factory.mktemp("stack")
    buckets = folder / "buckets.json"
    buckets.write_text(json.dumps(QUICK_BUCKETS))
    settings = {
        "SPIGOT_APPS": "spigot.examples,tests.support.outcome_app",
        "SPIGOT_BUCKETS": str(buckets),
        "SPIGOT_DOOR_DEADLINE": "5",  # a slow machine must not have the processes count alone
        **SHORT_WORK,
    }
    with spigot_up(folder, **settings) as stack:
        yield stack


@pytest.fixture
def visitor(stack: Stack) -> Visitor:
    return Visitor(stack.url)


@pytest.fixture
def new_visitor(stack: Stack) -> Callable[[], Visitor]:
    return lambda: Visitor(stack.url)
