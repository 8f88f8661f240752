"""``spigot job failures``: what fails, where, and how often."""

import click

from spigot.jobs.job.completions import bucket_names
from spigot.jobs.job.failures import FailureGroup, FailureReader
from spigot.runtime.settings import load_settings
from spigot.runtime.terminal import as_json, cell, from_now, print_json, print_table, printable

from .server import connect_to_server

HEAD = ("COUNT", "FIRST", "LAST", "ERROR", "PLACE", "TYPE")


@click.command(epilog="Example: spigot job failures --traceback")
@click.option("--bucket", shell_complete=bucket_names, help="Only jobs of this bucket.")
@click.option("--traceback", is_flag=True, help="Show a traceback of each group.")
@as_json
def failures(bucket: str | None, traceback: bool, as_json: bool) -> None:
    """Show what fails: the last 1000 failed jobs, grouped by error and place."""
    found = FailureReader(connect_to_server(), load_settings().keep_seconds).read(bucket)
    if as_json:
        groups = [group.to_json() for group in found.groups]
        print_json({"failures": groups, "jobs": found.jobs, "total": found.total})
        return
    print_table(HEAD, [_row(group) for group in found.groups], elastic={3, 4, 5})
    if found.jobs < found.total:
        click.echo(f"the last {found.jobs} of {found.total} failed jobs")
    if traceback:
        for group in found.groups:
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
