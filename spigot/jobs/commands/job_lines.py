"""``spigot job submit --from``: a job for each line of a file."""

import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import IO, Any

import click

from spigot.jobs.budgets.declared_cost import CostExceedsBurst
from spigot.jobs.enqueued_job import EnqueuedJob
from spigot.jobs.enqueueing import BucketFull, enqueue_many
from spigot.jobs.job.queue import Priority
from spigot.jobs.types.payloads import InvalidPayload
from spigot.runtime.count_text import count_text
from spigot.runtime.terminal import print_json

from .payload_text import NoPayloadError, read_payload

SENT_AT_ONCE = 500
"""Between two looks at the progress bar."""


def submit_lines(
    type: str, file: IO[bytes], priority: Priority, skip: int, *, as_json: bool
) -> None:
    """Enqueue a job for each line, as long as the bucket has room.

    Args:
        type: Name of the job type.
        file: A payload of JSON in each line; empty lines count as none.
        priority: Of all of them.
        skip: Jobs that an earlier call took in, which are left out.
        as_json: Whether to print the ids as JSON.

    Raises:
        click.ClickException: A line is no JSON: nothing was enqueued. Or a payload does not fit, or
            the bucket has no room for the rest: it says how to go on.
    """
    payloads = _read(file)[skip:]
    ids: list[str] = []
    done, trouble, too_costly = 0, "", []
    hidden = sys.stderr is None or not sys.stderr.isatty()
    with click.progressbar(
        length=len(payloads), label="taken in", file=sys.stderr, hidden=hidden
    ) as bar:
        while not trouble and done < len(payloads):
            some = payloads[done : done + SENT_AT_ONCE]
            try:
                outcomes = enqueue_many(type, some, priority=priority)
            except InvalidPayload as error:
                trouble = _which(error, skip + done)
                break
            ids += [job.id for job in outcomes if isinstance(job, EnqueuedJob)]
            too_costly += [
                f"job {skip + done + n} of the file: {job}"
                for n, job in enumerate(outcomes, 1)
                if isinstance(job, CostExceedsBurst)
            ]
            dealt_with = list(takewhile(lambda job: not isinstance(job, BucketFull), outcomes))
            done += len(dealt_with)
            bar.update(len(dealt_with))
            trouble = next((str(job) for job in outcomes if isinstance(job, BucketFull)), "")
    _report(ids, as_json=as_json)
    for words in too_costly:
        click.echo(words, err=True)
    if trouble:
        raise click.ClickException(f"{trouble}; go on with --skip {skip + done}")
    if too_costly:
        left_out = count_text(len(too_costly), "job was", "jobs were")
        raise click.ClickException(f"{left_out} left out; all others are taken in")


def _which(error: InvalidPayload, before: int) -> str:
    """Say which job of the file an error is about."""
    told = error.errors[0]
    index, _, field = told["field"].partition(".")
    return f"job {before + int(index) + 1} of the file: {field}: {told['problem']}"


def _read(file: IO[bytes]) -> Sequence[Any]:
    payloads = []
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                payloads.append(read_payload(line))
            except NoPayloadError as error:
                raise click.ClickException(f"line {number} is not JSON: {error}") from error
    return payloads


def _report(ids: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json(ids)
    else:
        click.echo(f"{count_text(len(ids), 'job')} taken in")
