"""The modules of applications: where they are looked for, and why one cannot be imported.

Web, workers, ``spigot doctor`` and programs that enqueue look in the same places, however they
were started: first in the current folder, as ``python -m`` does, then where Python looks.
"""

import logging
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeGuard

from pydantic import ValidationError

from spigot.runtime.errors import OperatorError
from spigot.runtime.own_frame import own_place

from .payloads import wrong_fields

log = logging.getLogger(__name__)


class CatalogError(OperatorError):
    """A module cannot be loaded, or two job types have one name; the start must stop."""


def import_app(name: str) -> Iterator[ModuleType]:
    """Import a module, and each module in it if it is a package.

    Args:
        name: Dotted.

    Raises:
        CatalogError: One cannot be imported; the message says why in one line.
    """
    refuse_missing_app(name)
    _look_in_current_folder_first()
    _refuse_shadowed(name)
    module = _import(name)
    yield module
    for child in iter_modules(getattr(module, "__path__", ())):
        if child.name != "__main__":
            yield _import(f"{name}.{child.name}")


def refuse_missing_app(name: str) -> None:
    """Refuse an application whose first module is nowhere, without importing anything.

    Args:
        name: Dotted.

    Raises:
        CatalogError: There is no such module.
    """
    _refuse_path(name)
    first = name.partition(".")[0]
    is_here = any(path.name.partition(".")[0] == first for path in Path.cwd().iterdir())
    if not is_here and first not in sys.modules and _find(first) is None:
        raise _cannot_be_imported(name, _missing(first))


def _refuse_path(name: str) -> None:
    """Refuse the path of a module in place of its name."""
    path = Path(name)
    if name.isidentifier() or not (name.startswith(".") or "/" in name or path.is_file()):
        return
    parts = path.with_suffix("").parts
    module = ".".join(parts) if all(part.isidentifier() for part in parts) else "its name"
    raise CatalogError(f"SPIGOT_APPS: {name} is a path and no name of a module: write {module}")


def _look_in_current_folder_first() -> None:
    folder = Path.cwd()
    if not sys.path or Path(sys.path[0]).resolve() != folder:
        sys.path.insert(0, str(folder))


def _refuse_shadowed(name: str) -> None:
    """Refuse a module of the current folder in whose place Python would import another."""
    first = name.partition(".")[0]
    here = _of_current_folder(first)
    if here is None:
        return
    spec = _find(first)
    if spec is None or here.resolve() in _files(spec):
        return
    advice = f"add {here.name}/__init__.py, or rename it" if here.is_dir() else "rename it"
    raise CatalogError(
        f"SPIGOT_APPS: {name} of the current folder cannot be imported, because Python takes "
        f"{first} from {_place(spec)}: {advice}"
    )


def _of_current_folder(name: str) -> Path | None:
    """Return the file or folder that ``import name`` should find in the current folder."""
    for path in (Path(name, "__init__.py"), Path(f"{name}.py")):
        if path.is_file():
            return path
    folder = Path(name)
    return folder if folder.is_dir() and any(folder.glob("*.py")) else None


def _find(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except (ImportError, ValueError):  # found, but broken or half loaded: importing it tells more
        return None


def _files(spec: ModuleSpec) -> set[Path]:
    """Return the file and the folders of a module."""
    places = [spec.origin] if spec.has_location and spec.origin else []
    return {Path(place).resolve() for place in [*places, *(spec.submodule_search_locations or ())]}


def _place(spec: ModuleSpec) -> str:
    return spec.origin if spec.has_location and spec.origin else "its own modules"


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        if _is_missing(error, name):
            raise _cannot_be_imported(name, _missing(error.name)) from error
        log.info("%s cannot be imported", name, exc_info=True)  # a command prints one line only
        raise _cannot_be_imported(name, _reason(error)) from error


def _is_missing(error: BaseException, name: str) -> TypeGuard[ModuleNotFoundError]:
    """Return whether a module itself is nowhere, and not one that it imports."""
    return isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")


def _cannot_be_imported(name: str, reason: str) -> CatalogError:
    return CatalogError(f"SPIGOT_APPS: {name} cannot be imported: {reason}")


def _missing(module: str | None) -> str:
    return (
        f"there is no module {module}, neither in the current folder ({Path.cwd()}) nor among the "
        "installed packages"
    )


def _reason(error: BaseException) -> str:
    """Return in one line what is wrong, and in which file and line of the author."""
    place = own_place(error)
    where = f" ({place})" if place else ""
    if isinstance(error, SystemExit):
        return f'it ends the program{where}: let it do so only if __name__ == "__main__"'
    return f"{type(error).__name__}: {_line(error)}{where}"


def _line(error: BaseException) -> str:
    """Return what is wrong in one line; pydantic takes four."""
    if isinstance(error, ValidationError):
        wrong = "; ".join(f"{field['field']}: {field['problem']}" for field in wrong_fields(error))
        return f"{error.title}: {wrong}"
    return " ".join(str(error).split("\n")[0].split())
