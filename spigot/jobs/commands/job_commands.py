"""``spigot job``: submit jobs, see where they are, and end them."""

from datetime import UTC, datetime
from typing import IO

import click

from spigot.jobs.budgets.declared_cost import CostExceedsBurst, InvalidCost
from spigot.jobs.enqueued_job import EnqueuedJob
from spigot.jobs.enqueueing import BucketFull, enqueue
from spigot.jobs.job.completions import any_job, bucket_names, job_types
from spigot.jobs.job.details import JobDetailsReader
from spigot.jobs.job.listing import PLACES, JobLister
from spigot.jobs.job.queue import Priority
from spigot.jobs.job.short_ids import no_such_id, short_ids, whole_id
from spigot.jobs.job.state import JobReader, JobState
from spigot.jobs.store.keys import PRIORITIES
from spigot.jobs.types.job_catalog import UnknownJobType
from spigot.jobs.types.payloads import InvalidPayload
from spigot.runtime.command_group import CommandGroup
from spigot.runtime.count_text import count_text
from spigot.runtime.settings import load_settings
from spigot.runtime.terminal import (
    Cut,
    State,
    as_json,
    from_now,
    print_fields,
    print_json,
    print_table,
    printable,
)
from spigot.runtime.whole_number import WholeNumber

from .job_changing import cancel, requeue
from .job_failures import failures
from .job_lines import submit_lines
from .job_type_list import list_types
from .job_watching import details, watch
from .payload_text import NoPayloadError, read_payload
from .server import connect_to_server

HEAD = ("ID", "TYPE", "STATUS", "BUCKET", "PRIORITY", "ENQUEUED", "HOW FAR")

TYPE, HOW_FAR = 1, 6
"""The columns that give way on a narrow terminal."""

SUBMIT_EXAMPLE = """\b
Example: spigot job submit message '{"id": 1, "job_priority": 1,
    "job_type": 2, "job_publisher": "mobile_app", "data": "hello"}' \\
    --priority high
spigot job submit message --from messages.jsonl"""


@click.group(cls=CommandGroup, epilog="Example: spigot job show 4bf92f3577b34da6a3ce929d0e0e4736")
def job() -> None:
    """Submit jobs, see where they are, cancel and requeue them."""


for command in (watch, cancel, requeue, failures, list_types):
    job.add_command(command)


@job.command(epilog=SUBMIT_EXAMPLE)
@click.argument("type", shell_complete=job_types)
@click.argument("payload", metavar="[JSON]", default=None, required=False)
@click.option(
    "--from",
    "file",
    metavar="FILE",
    type=click.File("rb"),
    help="A job for each line of FILE, which is a payload of JSON; - reads the standard input.",
)
@click.option(
    "--skip", type=WholeNumber(0), default=0, help="With --from: so many jobs are in already."
)
@click.option(
    "--priority",
    type=click.Choice(PRIORITIES),
    default="default",
    show_default=True,
    help="Most urgent first.",
)
@as_json
def submit(
    type: str,
    payload: str | None,
    file: IO[bytes] | None,
    skip: int,
    priority: Priority,
    as_json: bool,
) -> None:
    """Enqueue a job of TYPE with a payload of JSON, or one for each line of a file.

    Where the bucket has no room for all lines, the first ones are taken in, and the command says
    how many these are and when to go on, with --skip.
    """
    if (file is not None and payload is not None) or (skip and file is None):
        raise click.UsageError("give one payload, or --from FILE (and --skip with it)")
    try:
        if file is not None:
            submit_lines(type, file, priority, skip, as_json=as_json)
        else:
            _print(enqueue(type, read_payload(payload or "{}"), priority=priority), as_json)
    except NoPayloadError as error:
        raise click.ClickException(f"the payload is not JSON: {error}") from error
    except (BucketFull, CostExceedsBurst, InvalidCost, InvalidPayload, UnknownJobType) as error:
        raise click.ClickException(str(error)) from error


@job.command(epilog="Example: spigot job show 4bf92f3577b34da6a3ce929d0e0e4736 --json")
@click.argument("id", shell_complete=any_job)
@as_json
def show(id: str, as_json: bool) -> None:
    """Show the job ID: its status, position, estimated start, result, payload, traceback."""
    redis = connect_to_server()
    id = whole_id(redis, id)
    found = JobReader(redis).read(id)
    if found is None:
        raise click.ClickException(no_such_id(id))
    shown = found.to_json() | JobDetailsReader(redis).read(id).to_json()
    if as_json:
        print_json(shown)
        return
    traceback = shown.pop("traceback")
    print_fields(shown)
    if traceback:
        click.echo("\n" + "\n".join(map(printable, traceback.rstrip().split("\n"))))


@job.command(name="list", epilog="Example: spigot job list --status failed --bucket openai")
@click.option("--status", type=click.Choice(list(PLACES)), help="Only jobs of this status.")
@click.option("--bucket", shell_complete=bucket_names, help="Only jobs of this bucket.")
@click.option("--limit", type=WholeNumber(1, 1000), default=50, show_default=True)
@click.option("--skip", type=WholeNumber(min=0), default=0, help="Jobs to leave out first.")
@as_json
def list_jobs(status: str | None, bucket: str | None, limit: int, skip: int, as_json: bool) -> None:
    """List jobs: in the order in which they run; once they have ended, the latest first."""
    lister = JobLister(connect_to_server(), load_settings().keep_seconds)
    statuses = [status] if status else list(PLACES)
    page = lister.page(statuses, lister.bucket_names(bucket), skip=skip, limit=limit)
    if as_json:
        print_json({"jobs": [job.to_json() for job in page.jobs], "total": page.total})
        return
    names = short_ids([job.id for job in page.jobs])
    print_table(HEAD, [_row(names[job.id], job) for job in page.jobs], elastic={TYPE, HOW_FAR})
    if len(page.jobs) < page.total:
        shown = f"{len(page.jobs):,} of {count_text(page.total, 'job')}"
        click.echo(f"{shown}; --skip and --limit show others")


def _row(name: str, job: JobState) -> tuple[object, ...]:
    return (
        name,
        job.type,
        State(job.status),
        job.bucket,
        job.priority,
        from_now(job.enqueued_at),
        Cut(details(job, datetime.now(UTC))),
    )


def _print(job: JobState | EnqueuedJob, as_json: bool) -> None:
    if as_json:
        print_json(job.to_json())
    else:
        print_fields(job.to_json())
