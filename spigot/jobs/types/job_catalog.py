"""The catalog: every job type that the modules named in ``SPIGOT_APPS`` define."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from pydantic import ValidationError

from spigot.runtime.errors import OperatorError, PortableError
from spigot.runtime.own_frame import own_place

from .job_types import JobType, registered_type, wrong_fields

log = logging.getLogger(__name__)


class CatalogError(OperatorError):
    """A module cannot be loaded, or two job types have one name; the start must stop."""


class UnknownJobType(PortableError, LookupError):
    """No module of the catalog defines that job type.

    Attributes:
        known: Names that there are.
    """

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.known = sorted(known)
        super().__init__(f"there is no job type {name!r}; known: {', '.join(self.known) or 'none'}")


class JobCatalog:
    """The job types by name.

    Args:
        job_types: Each name once.
        modules: What they were loaded from; the web looks for blueprints there.

    Raises:
        CatalogError: Two different functions claim one name.
    """

    def __init__(
        self, job_types: Iterable[JobType] = (), modules: Iterable[ModuleType] = ()
    ) -> None:
        self.modules = tuple(modules)
        self._types: dict[str, JobType] = {}
        for job_type in job_types:
            other = self._types.setdefault(job_type.name, job_type)
            if other.function is not job_type.function:
                raise CatalogError(
                    f"job type {job_type.name!r} is defined twice: {other.function_name} and "
                    f"{job_type.function_name}"
                )

    @classmethod
    def load(cls, apps: Iterable[str]) -> "JobCatalog":
        """Import the modules, and each module of those that are packages.

        Args:
            apps: Dotted names.

        Raises:
            CatalogError: One cannot be imported; the message says why.
        """
        if os.getcwd() not in sys.path:  # a console script does not look there
            sys.path.insert(0, os.getcwd())
        modules: list[ModuleType] = []
        for app in apps:
            found = list(_import_with_children(app))
            _warn_if_empty(app, found)
            modules += found
        types = [t for module in modules for t in _job_types_in(module)]
        return cls(types, modules)

    def get(self, name: str) -> JobType:
        """Return the job type.

        Raises:
            UnknownJobType: There is none of that name.
        """
        try:
            return self._types[name]
        except KeyError:
            raise UnknownJobType(name, self._types) from None

    def find(self, name: str | None) -> JobType | None:
        """Return the job type, or None if there is none of that name."""
        return self._types.get(name or "")

    def __iter__(self) -> Iterator[JobType]:
        return iter(self._types.values())

    def bucket_names(self) -> set[str]:
        """Return the buckets that the job types name."""
        return {job_type.bucket for job_type in self}


def _import_with_children(name: str) -> Iterator[ModuleType]:
    module = _import(name)
    yield module
    for child in iter_modules(getattr(module, "__path__", ())):
        if child.name != "__main__":
            yield _import(f"{name}.{child.name}")


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:
        log.info("%s cannot be imported", name, exc_info=True)  # a command prints one line only
        place = own_place(error)
        raise CatalogError(
            f"SPIGOT_APPS: {name} cannot be imported: {type(error).__name__}: {_line(error)}"
            + (f" ({place})" if place else "")
        ) from error


def _line(error: Exception) -> str:
    """Return what is wrong in one line; pydantic takes four."""
    if isinstance(error, ValidationError):
        wrong = "; ".join(f"{field['field']}: {field['problem']}" for field in wrong_fields(error))
        return f"{error.title}: {wrong}"
    return " ".join(str(error).split("\n")[0].split())


def _warn_if_empty(app: str, modules: Iterable[ModuleType]) -> None:
    """Tell of an application that adds nothing: perhaps another module was meant."""
    for module in modules:
        if hasattr(module, "blueprint") or any(_job_types_in(module)):
            return
    log.warning(
        "SPIGOT_APPS: %s defines no job type and no blueprint; is another module meant, or is "
        '@job_type("name") missing?',
        app,
    )


def _job_types_in(module: ModuleType) -> Iterator[JobType]:
    for value in list(vars(module).values()):
        registered = registered_type(value)
        if registered is not None:
            yield registered
