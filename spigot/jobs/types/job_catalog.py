"""The catalog: every job type that the modules named in ``SPIGOT_APPS`` define."""

import logging
from collections.abc import Iterable, Iterator
from types import ModuleType

from spigot.jobs.budgets.declared_cost import DeclaredCost
from spigot.runtime.errors import PortableError

from .app_modules import CatalogError, import_app
from .job_types import JobType, registered_type

__all__ = ["CatalogError", "JobCatalog", "UnknownJobType"]

log = logging.getLogger(__name__)


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
        modules: list[ModuleType] = []
        for app in apps:
            found = list(import_app(app))
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

    def get_public(self, name: str) -> JobType:
        """Return a job type that clients may submit.

        Raises:
            UnknownJobType: There is none of that name for them; it names no internal one.
        """
        found = self._types.get(name)
        if found is None or found.internal:
            raise UnknownJobType(name, (each.name for each in self.public()))
        return found

    def public(self) -> Iterator[JobType]:
        """Yield the job types that clients may submit."""
        return (each for each in self if not each.internal)

    def find(self, name: str | None) -> JobType | None:
        """Return the job type, or None if there is none of that name."""
        return self._types.get(name or "")

    def __iter__(self) -> Iterator[JobType]:
        return iter(self._types.values())

    def bucket_names(self) -> set[str]:
        """Return the buckets that the job types name."""
        return {job_type.bucket for job_type in self}

    def costs(self) -> list[DeclaredCost]:
        """Return what the jobs of each type cost."""
        return [job_type.declared_cost for job_type in self]


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
