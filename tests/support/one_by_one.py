"""Hands tests to the processes of pytest-xdist one by one, but for those that share something."""

from functools import cache
from pathlib import Path
from typing import Any

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[2]
SHARED = 'scope="module"'


class OneByOneScheduling(LoadScopeScheduling):
    """Keeps those tests of a file in one process that share what takes long to start.

    Every second process begins with the last tests: the first take longest, as they need the
    processor, and others wait for leases and moments, so that both kinds run at any time.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if _shares(file) else nodeid

    def _assign_work_unit(self, node: Any) -> None:
        if int(node.gateway.id.removeprefix("gw")) % 2:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


@cache
def _shares(file: str) -> bool:
    """Return whether a file or the ``conftest.py`` beside it has fixtures for a whole module."""
    path = ROOT / file
    beside = path.with_name("conftest.py")
    return any(SHARED in each.read_text() for each in (path, beside) if each.exists())
