"""Which folder may import which; there is no circle between folders."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spigot"

RUNTIME = {"runtime", "runtime.server"}
STORE = {*RUNTIME, "jobs.store"}
BUDGETS = {*STORE, "jobs.budgets"}
JOBS = {*BUDGETS, "jobs.types", "jobs.bucket", "jobs.job", "jobs.overview"}
DOOR = {*BUDGETS, "jobs.bucket", "jobs.types", "webapp.http"}
PARTS_OF_THE_WORKER = {*JOBS, "worker.process", "worker.leases", "worker.rq", "worker.running"}
PARTS_OF_THE_WEB = {*JOBS, "webapp.http", "webapp.door", "webapp.waiting", "webapp.routes"}

ARROWS = {
    "runtime": set(),
    "runtime.server": {"runtime"},
    "jobs.store": RUNTIME,
    "jobs.budgets": STORE,
    "jobs.types": BUDGETS,
    "jobs.bucket": BUDGETS,
    "jobs.job": {*BUDGETS, "jobs.types", "jobs.bucket"},
    "jobs.overview": {*BUDGETS, "jobs.bucket"},
    "jobs": JOBS,
    "jobs.commands": {*JOBS, "jobs"},
    "worker.process": RUNTIME,
    "worker.leases": {*JOBS, "worker.process"},
    "worker.running": {*JOBS, "worker.process", "worker.leases"},
    "worker.pool": {*JOBS, "worker.process", "worker.leases", "worker.running"},
    "worker.rq": {*STORE, "worker.running"},
    "worker.idle": PARTS_OF_THE_WORKER,
    "worker": {*PARTS_OF_THE_WORKER, "worker.idle", "worker.pool"},
    "webapp.http": JOBS,
    "webapp.serving": {*RUNTIME, "webapp.http"},
    "webapp.door": DOOR,
    "webapp.waiting": {*JOBS, "webapp.http", "webapp.serving"},
    "webapp.routes": {*JOBS, "webapp.http", "webapp.door", "webapp.waiting"},
    "webapp.pages": PARTS_OF_THE_WEB,
    "webapp.metrics": {*JOBS, "webapp.http"},
    "webapp.dashboard": {*JOBS, "webapp.http"},
    "webapp.api_docs": PARTS_OF_THE_WEB,
    "webapp": {
        *PARTS_OF_THE_WEB,
        "webapp.serving",
        "webapp.pages",
        "webapp.metrics",
        "webapp.dashboard",
        "webapp.api_docs",
    },
    "webapp.gunicorn": {*JOBS, "webapp.http", "webapp.serving", "webapp.metrics", "webapp"},
    "launch": {*JOBS, "webapp.door", "webapp.http", "webapp"},
    "testing": {*PARTS_OF_THE_WORKER, "jobs", "webapp.door", "launch"},
}
"""By folder, those that its modules may import. What lies deeper, such as the rules of the door,
counts as one with the folder above. The face, the command line and the examples are on all."""

FOREIGN = {"jobs": {"flask", "gunicorn"}, "worker": {"flask", "gunicorn"}, "webapp.door": {"rq"}}
"""By folder, packages of others that it must do without."""

MOST_MODULES_OF_THE_LOOP = 13
"""The worker's loop calls its parts; what these are made of is known to its assembly alone."""


def folder_of(path: Path) -> str:
    """Return the folder as it stands in ``ARROWS``; "" for the face."""
    parts = path.relative_to(PACKAGE).parts[:-1]
    return ".".join(parts[:2])


@cache
def imported(path: Path) -> frozenset[str]:
    """Return the dotted names that a module imports, at its head or later."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    package = list(path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


@cache
def module_of(name: str) -> Path | None:
    """Return the file that ``name`` lies in; None if it is not of the package, or is its face."""
    first, *parts = name.split(".")
    if first != "spigot":
        return None
    while parts and not (PACKAGE.joinpath(*parts).with_suffix(".py").exists()):
        parts.pop()
    return PACKAGE.joinpath(*parts).with_suffix(".py") if parts else None


def imported_folder(name: str) -> str | None:
    """Return the folder that ``name`` lies in; None if it is not of the package."""
    if name.split(".")[0] != "spigot":
        return None
    module = module_of(name)
    return folder_of(module) if module else ""


@cache
def all_modules() -> list[Path]:
    return list(PACKAGE.rglob("*.py"))


def modules(folder: str) -> list[Path]:
    return [path for path in all_modules() if folder_of(path) == folder]


def test_every_folder_has_its_arrows():
    folders = {folder_of(path) for path in PACKAGE.rglob("*.py")} - {"", "examples"}

    assert folders == set(ARROWS)


@pytest.mark.parametrize("folder", ARROWS)
def test_imports_follow_the_arrows(folder):
    allowed = {folder, *ARROWS[folder]}
    for path in modules(folder):
        against = {name for name in imported(path) if imported_folder(name) not in {*allowed, None}}
        assert not against, f"{path.relative_to(ROOT)} imports {against}"


@pytest.mark.parametrize("start", ARROWS)
def test_no_way_leads_back_to_a_folder(start):
    seen: set[str] = set()
    ways = [*ARROWS[start]]
    while ways:
        folder = ways.pop()
        if folder not in seen:
            seen.add(folder)
            ways += ARROWS[folder]

    assert start not in seen


@pytest.mark.parametrize("folder", FOREIGN)
def test_a_folder_does_without_what_its_users_may_not_have(folder):
    for path in PACKAGE.joinpath(*folder.split(".")).rglob("*.py"):
        foreign = {name.split(".")[0] for name in imported(path)}
        assert not foreign & FOREIGN[folder], path.relative_to(ROOT)


def test_the_loop_of_the_worker_knows_few_modules():
    path = PACKAGE / "worker" / "rate_aware_worker.py"
    names = {name for name in imported(path) if imported_folder(name) is not None}

    assert len({module_of(name) for name in names}) <= MOST_MODULES_OF_THE_LOOP
