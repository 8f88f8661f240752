"""``spigot job failures``: what fails, where, and how often."""

import click

from spigot.jobs.job.completions import bucket_names
from spigot.jobs.job.failures import FailureGroup, FailureIndex
from spigot.jobs.job.listing import JobLister
from spigot.runtime.settings import load_settings
from spigot.runtime.terminal import as_json, cell, from_now, print_json, print_table, printable

from .server import connect_to_server

HEAD = ("COUNT", "FIRST", "LAST", "ERROR", "PLACE", "TYPE")


@click.command(epilog="Example: spigot job failures --traceback")
@click.option("--bucket", shell_complete=bucket_names, help="Only jobs of this bucket.")
@click.option("--traceback", is_flag=True, help="Show a traceback of each group.")
@as_json
def failures(bucket: str | None, traceback: bool, as_json: bool) -> None:
    """Show what fails, grouped by error and place, the last failure first."""
    redis = connect_to_server()
    if bucket is not None:
        JobLister(redis, load_settings().keep_seconds).bucket_names(bucket)  # or there is none
    groups = FailureIndex(redis).read(bucket, tracebacks=traceback or as_json)
    if as_json:
        print_json({"failures": [group.to_json() for group in groups]})
        return
    print_table(HEAD, [_row(group) for group in groups], elastic={3, 4, 5})
    if traceback:
        for group in groups:
            _print_traceback(group)


def _row(group: FailureGroup) -> tuple[object, ...]:
    return (
        group.count,
        from_now(group.first_at),
        from_now(group.last_at),
        group.error,
        group.place,
        ", ".join(group.types),
    )


def _print_traceback(group: FailureGroup) -> None:
    click.echo(f"\n{cell(group.job)}: {cell(group.message)}")
    for line in (group.traceback or "").rstrip().split("\n"):
        click.echo(printable(line))
