"""What the shell proposes for names of buckets, job types and jobs, as one types.

Each is a ``shell_complete`` of a click parameter.
"""

from collections.abc import Iterable, Iterator

from click.shell_completion import CompletionItem
from redis import Redis

from spigot.jobs.store.stored_values import bucket_names as names_on_server
from spigot.jobs.types.app_choice import choose_apps
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.proposals import Completion, proposing
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.settings import load_settings

from .listing import PLACES, JobLister
from .state import TERMINAL

WAIT_SECONDS = 1.0
"""How long the shell waits for the server."""

MOST_JOBS = 50
"""Jobs that are proposed: one page of a list."""


@proposing
def bucket_names() -> Iterator[CompletionItem]:
    """Propose the buckets of the server."""
    yield from map(CompletionItem, sorted(names_on_server(_server())))


@proposing
def job_types() -> Iterator[CompletionItem]:
    """Propose the job types of the applications; no server is needed."""
    catalog = JobCatalog.load(choose_apps(load_settings()))
    for job_type in sorted(catalog, key=lambda each: each.name):
        yield CompletionItem(job_type.name, help=f"bucket {job_type.bucket}")


def ids_of(statuses: Iterable[str]) -> Completion:
    """Return what proposes the first jobs of a list, of these statuses."""
    wanted = [status for status in PLACES if status in set(statuses)]

    def find() -> Iterator[CompletionItem]:
        lister = JobLister(_server(), load_settings().keep_seconds)
        for job in lister.page(wanted, lister.bucket_names(), limit=MOST_JOBS).jobs:
            yield CompletionItem(job.id, help=f"{job.type} {job.status}")

    return proposing(find)


any_job = ids_of(PLACES)
unended_job = ids_of(set(PLACES) - TERMINAL)
failed_job = ids_of(["failed"])


def _server() -> Redis:
    return connect(find_server_url(load_settings()), timeout=WAIT_SECONDS)
