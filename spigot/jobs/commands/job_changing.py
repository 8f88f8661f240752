"""``spigot job cancel`` and ``spigot job requeue``."""

import time
from collections.abc import Iterable
from typing import Any

import click
from redis import Redis

from spigot.jobs.job.cancelling import JobCanceller
from spigot.jobs.job.completions import bucket_names, failed_job, unended_job
from spigot.jobs.job.following import follow
from spigot.jobs.job.listing import JobLister
from spigot.jobs.job.queue import BucketRefusal
from spigot.jobs.job.requeueing import JobRequeuer, NotFailed, PlainQueueError
from spigot.jobs.job.short_ids import no_such_id, whole_id
from spigot.jobs.job.state import JobState
from spigot.runtime.count_text import count_text
from spigot.runtime.settings import load_settings
from spigot.runtime.terminal import as_json, print_json

from .server import connect_to_server

STOP_SECONDS = 2.0
"""How long a running job may take to stop before the command ends."""


@click.command(epilog="Example: spigot job cancel 4bf92f3577b34da6a3ce929d0e0e4736")
@click.argument("id", shell_complete=unended_job)
@as_json
def cancel(id: str, as_json: bool) -> None:
    """Cancel the job ID: it will not run, or is stopped if it runs."""
    redis = connect_to_server()
    id = whole_id(redis, id)
    cancellation = JobCanceller(redis, keep_seconds=load_settings().keep_seconds).cancel(id)
    if cancellation is None:
        raise click.ClickException(no_such_id(id))
    job = cancellation.job
    if cancellation.outcome == "stopping":
        job = _after_stop(redis, job)
    if cancellation.outcome == "ended" or job.status in ("finished", "failed"):
        raise click.ClickException(f"the job had already ended: it is {job.status}")
    if as_json:
        print_json(job.to_json())
    else:
        click.echo("cancelled" if job.ended else "the job is being stopped, and will not run again")


def _after_stop(redis: Redis, job: JobState) -> JobState:
    deadline = time.monotonic() + STOP_SECONDS
    for now in follow(redis, job.id, tick_seconds=0.1):
        job = now or job
        if time.monotonic() > deadline:
            break
    return job


@click.command(epilog="Example: spigot job requeue --all-failed --bucket openai")
@click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=failed_job)
@click.option("--all-failed", is_flag=True, help="All jobs that have failed until now.")
@click.option(
    "--bucket",
    shell_complete=bucket_names,
    help="With --all-failed: only those of this bucket.",
)
@as_json
def requeue(ids: tuple[str, ...], all_failed: bool, bucket: str | None, as_json: bool) -> None:
    """Let failed jobs wait again, at the end of their queue and with all their retries.

    A bucket that is full takes as many as it has room for; the others stay failed.
    """
    if bool(ids) == all_failed or (bucket and not all_failed):
        raise click.UsageError("give the ids of failed jobs, or --all-failed")
    redis = connect_to_server()
    if all_failed:
        _requeue_all(redis, bucket, as_json)
    else:
        _requeue_each(redis, [whole_id(redis, id) for id in ids], as_json)


def _requeue_all(redis: Redis, bucket: str | None, as_json: bool) -> None:
    answer = JobRequeuer(redis).requeue_all_failed(JobLister(redis).bucket_names(bucket))
    refused = [_refusal(full) for full in answer.refused]
    _report(answer.count, answer.count, refused, as_json)


def _requeue_each(redis: Redis, ids: Iterable[str], as_json: bool) -> None:
    requeuer, requeued, refused = JobRequeuer(redis), [], []
    for job_id in ids:
        try:
            answer = requeuer.requeue(job_id)
        except PlainQueueError as error:
            refused.append(str(error))
            continue
        match answer:
            case JobState():
                requeued.append(answer.to_json())
            case BucketRefusal():
                refused.append(f"{job_id}: {_refusal(answer)}")
            case NotFailed():
                refused.append(f"{job_id}: it has not failed, it is {answer.job.status}")
            case None:
                refused.append(no_such_id(job_id))
    _report(len(requeued), requeued, refused, as_json)


def _report(count: int, requeued: Any, refused: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"requeued": requeued, "refused": refused})
    else:
        click.echo(f"{count_text(count, 'job')} requeued")
    if refused:
        raise click.ClickException("; ".join(refused))


def _refusal(full: BucketRefusal) -> str:
    return f"{full}; try again in {full.retry_after_ms / 1000:g} s"
