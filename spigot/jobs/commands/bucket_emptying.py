"""``spigot bucket drain`` and ``purge``: two ways to an empty bucket."""

import time
from collections.abc import Iterator

import click

from spigot.jobs.bucket.control import BucketChange
from spigot.jobs.bucket.state import BucketReader, BucketState
from spigot.jobs.job.completions import bucket_names
from spigot.runtime.count_text import count_text
from spigot.runtime.settings import load_settings
from spigot.runtime.terminal import as_json, print_json

from .bucket_steering import control_of, steer
from .server import connect_to_server

COUNT_SECONDS = 0.2
"""How often a drain looks how far it is."""


@click.command(epilog="Example: spigot bucket drain openai && spigot bucket resume openai")
@click.argument("name", shell_complete=bucket_names)
@click.option("--no-wait", is_flag=True, help="Do not wait until the bucket is empty.")
@as_json
def drain(name: str, no_wait: bool, as_json: bool) -> None:
    """Take no more jobs into the bucket NAME, and wait until it is empty.

    It takes jobs again after `spigot bucket resume NAME`.
    """
    change = BucketChange(draining=True)
    if not as_json:
        steer(name, lambda control: control.set(name, change), as_json=False)
        if not no_wait:
            _show_drain(name)
        return
    redis = connect_to_server()
    control_of(redis).set(name, change)
    reader = BucketReader(redis)
    if not no_wait:
        for _ in _until_empty(reader, name):
            pass
    print_json(reader.get(name).to_json())


@click.command(epilog="Example: spigot bucket purge openai --yes")
@click.argument("name", shell_complete=bucket_names)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def purge(name: str, yes: bool, as_json: bool) -> None:
    """Cancel all jobs that wait in the bucket NAME; those that run go on."""
    redis = connect_to_server()
    found = BucketReader(redis).get(name)
    if not yes:
        jobs = count_text(found.waiting + found.delayed, "job that waits", "jobs that wait")
        try:
            click.confirm(f"Cancel {jobs} in bucket {name}?", abort=True, err=as_json)
        except click.Abort as no_answer:
            raise click.ClickException(
                "Aborted: nothing was cancelled; --yes cancels without being asked"
            ) from no_answer
    count = control_of(redis).purge(name, keep_seconds=load_settings().keep_seconds)
    if as_json:
        print_json({"bucket": name, "cancelled": count})
    else:
        click.echo(f"{name}: {count_text(count, 'job was', 'jobs were')} cancelled")


def _show_drain(name: str) -> None:
    reader = BucketReader(connect_to_server())
    left = _jobs_in(reader.get(name))
    with click.progressbar(length=left, label=f"Draining {name}", show_pos=True) as bar:
        for now_left in _until_empty(reader, name):
            bar.update(left - now_left)
            left = now_left
    click.echo(f"{name} is empty; it takes jobs again after `spigot bucket resume {name}`")


def _until_empty(reader: BucketReader, name: str) -> Iterator[int]:
    said = ""
    while True:
        found = reader.get(name)
        yield _jobs_in(found)
        if not _jobs_in(found):
            return
        reason = _why_nothing_leaves(found)
        if reason and reason != said:
            click.echo(f"\n{reason}", err=True)
        said = reason
        time.sleep(COUNT_SECONDS)


def _why_nothing_leaves(found: BucketState) -> str:
    if found.paused:
        return f"{found.name} is paused: `spigot bucket resume` would end the drain too"
    if not found.workers:
        return f"no worker of {found.name} is alive: start one with `spigot worker {found.name}`"
    return ""


def _jobs_in(found: BucketState) -> int:
    return found.waiting + found.delayed + found.running
