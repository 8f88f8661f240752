"""Which applications are used when ``SPIGOT_APPS`` is not set: the one in the current folder."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from spigot.runtime.settings import Settings

from .app_modules import CatalogError

log = logging.getLogger(__name__)

NO_APP = re.compile(r"tests?|test_.*|.*_test|conftest|setup|spigot")
"""Modules that may name job types and are no applications."""

PACKAGE = Path(__file__).parents[2]


def choose_apps(settings: Settings) -> tuple[str, ...]:
    """Return the names of the modules to use.

    They are those of ``SPIGOT_APPS``; without it, the one module or package of the current folder
    whose source names ``job_type``; without such a one, the examples.

    Raises:
        CatalogError: There are several; the message says what to set.
    """
    if not settings.is_unset("apps"):
        return settings.apps
    found = sorted(_apps_of(Path.cwd()))
    if len(found) > 1:
        raise CatalogError(
            f"several modules of the current folder define job types: set SPIGOT_APPS to those "
            f"that are to be used, such as SPIGOT_APPS={','.join(found)}"
        )
    if not found:
        return settings.apps
    log.info("SPIGOT_APPS is not set: %s of the current folder is used", found[0])
    return tuple(found)


def _apps_of(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        name = path.name.removesuffix(".py")
        if not name.isidentifier() or NO_APP.fullmatch(name) or _is_spigots_own(path):
            continue
        if any(_names_job_types(source) for source in _sources(path)):
            yield name


def _sources(path: Path) -> list[Path]:
    """Return the files that are loaded with an application: none if it is no module."""
    if path.suffix == ".py":
        return [path]
    if not (path / "__init__.py").is_file():
        return []
    return [*path.glob("*.py"), *path.glob("*/__init__.py")]


def _is_spigots_own(path: Path) -> bool:
    return path.resolve().is_relative_to(PACKAGE)  # the links in a clone


def _names_job_types(path: Path) -> bool:
    try:
        source = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False  # nothing that Python could import either
    return bool(re.search(r"\bspigot\b", source) and re.search(r"\bjob_type\b", source))
