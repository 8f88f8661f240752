"""The Python files of the user's applications, and which of them have changed."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

log = logging.getLogger(__name__)

MOST = 5000
"""Files that are watched, so that a look at them takes no time to speak of."""

PASSED_OVER = frozenset({"__pycache__", "node_modules", "site-packages"})
ENVIRONMENT = "pyvenv.cfg"
"""What the folder of a virtual environment holds."""

Files = Mapping[str, tuple[int, int]]
"""By path, when a file was changed and how long it is."""


class AppFiles:
    """Watches the files: ``changes()`` says which are others now.

    Args:
        roots: Folders and files; hidden folders and virtual environments in them are passed over.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self._roots = sorted(set(roots))
        self._known = self._seen = self._look()
        if len(self._known) >= MOST:
            log.warning("only %d Python files are watched; there are more", MOST)

    def changes(self) -> list[str]:
        """Return what has changed since it was asked last, once nothing changes any more."""
        now, before = self._look(), self._seen
        self._seen = now
        if now == self._known or now != before:  # an editor or a checkout is still writing
            return []
        changed = {path for path, _ in now.items() ^ self._known.items()}
        self._known = now
        return sorted(os.path.relpath(path) for path in changed)

    def _look(self) -> Files:
        found: dict[str, tuple[int, int]] = {}
        for path in self._paths():
            try:
                state = os.stat(path)
            except OSError:  # it went meanwhile
                continue
            found[path] = state.st_mtime_ns, state.st_size
            if len(found) >= MOST:
                break
        return found

    def _paths(self) -> Iterator[str]:
        for root in self._roots:
            if root.is_file():
                yield str(root)
            for folder, folders, names in os.walk(root):
                if ENVIRONMENT in names:
                    folders.clear()
                    continue
                folders[:] = sorted(
                    name for name in folders if name[0] != "." and name not in PASSED_OVER
                )
                yield from (f"{folder}/{name}" for name in sorted(names) if name.endswith(".py"))


def roots_of(apps: Iterable[str]) -> list[Path]:
    """Return where the modules of applications lie, without importing them.

    The current folder is one of the places: what an application imports lies there too.
    """
    roots = [Path.cwd()]
    for app in apps:
        place = _place(app.partition(".")[0], app)
        if place is not None and not place.is_relative_to(roots[0]):
            roots.append(place)
    return roots


def _place(first: str, app: str) -> Path | None:
    name = app if first in sys.modules else first  # Spigot's own examples
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin
