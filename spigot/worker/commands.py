"""The command ``spigot worker``."""

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

import click
from redis.exceptions import RedisError

from spigot.jobs.bucket.config import MOST_CONCURRENCY
from spigot.jobs.bucket.configuring import UnknownBucketError
from spigot.jobs.bucket.file import BucketFile
from spigot.jobs.job.completions import bucket_names
from spigot.jobs.store import keys
from spigot.jobs.store.server_check import check_server
from spigot.jobs.types.app_choice import choose_apps
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.log_setup import set_up_logging
from spigot.runtime.missing_files import refuse_missing_file, tell_missing_files
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.settings import load_settings
from spigot.runtime.whole_number import WholeNumber

from .connections import MAIN_TIMEOUT
from .rate_aware_pool_worker import RateAwarePoolWorker
from .rate_aware_simple_worker import RateAwareSimpleWorker
from .rate_aware_worker import RateAwareWorker
from .worker_processes import WorkerProcesses

log = logging.getLogger(__name__)

DEFAULT_WORKERS = 2


@click.command(epilog="Example: spigot worker openai --count 8")
@click.argument("buckets", nargs=-1, metavar="[BUCKET]...", shell_complete=bucket_names)
@click.option("--count", type=WholeNumber(min=1), help="Workers for each bucket.")
@click.option(
    "--concurrency",
    type=WholeNumber(min=1, max=MOST_CONCURRENCY),
    help="Jobs that a worker runs at once; for jobs that wait.",
)
@click.option("--until-empty", is_flag=True, help="Stop once the buckets are empty.")
@click.option("--simple", is_flag=True, help="Fork no process for a job: for short, trusted ones.")
@click.option("--under-up", is_flag=True, hidden=True)  # which has told what is missing
@click.option("--tell-plan", type=int, hidden=True)  # descriptor that the plan is written to
def worker(
    buckets: tuple[str, ...],
    count: int | None,
    concurrency: int | None,
    until_empty: bool,
    simple: bool,
    under_up: bool,
    tell_plan: int | None,
) -> None:
    """Run jobs, each bucket at its rate, until told to stop.

    Without BUCKET, every bucket gets workers: as many as buckets.json says, or 2.
    """
    if simple and concurrency is not None and concurrency > 1:
        raise click.UsageError("--simple runs one job at a time: leave it out, or --concurrency")
    settings = load_settings()
    set_up_logging(settings.log_format)
    refuse_missing_file(settings, "buckets")
    if not under_up:
        tell_missing_files(settings)
    catalog = JobCatalog.load(choose_apps(settings))
    configs = BucketFile.of(settings, catalog.bucket_names(), catalog.costs())
    _check_known(buckets, configs)
    url = find_server_url(settings)
    check_server(url, waits=settings.wait_replicas > 0)  # it may come and go later
    redis = connect(url, timeout=MAIN_TIMEOUT)
    plan = _plan(buckets, count, configs)
    with suppress(RedisError):  # the workers publish as well, and insist
        configs.publish(redis, set(plan))  # a bucket of a newer version ends the command at once
    _tell(plan, tell_plan)

    def work(bucket: str) -> None:
        worker_class, options = _kind(simple, concurrency or configs[bucket].concurrency)
        worker = worker_class(
            keys.queue_names(bucket), settings=settings, catalog=catalog, buckets=configs, **options
        )
        worker.begin_level = logging.INFO if len(plan) == 1 else logging.DEBUG
        worker.work(burst=until_empty)

    processes = WorkerProcesses(
        plan, work, restart=not until_empty, grace_seconds=settings.grace_seconds
    )
    if not processes.run():
        raise click.ClickException("a worker failed; its reason is above")


def _plan(buckets: Iterable[str], count: int | None, configs: BucketFile) -> list[str]:
    """Return the bucket of each worker."""
    return [
        name
        for name in buckets or configs
        for _ in range(count or configs[name].workers or DEFAULT_WORKERS)
    ]


def _tell(plan: list[str], descriptor: int | None) -> None:
    """Tell who asked how many workers each bucket gets; otherwise the log, if there are several."""
    counts = Counter(plan)
    if descriptor is not None:
        os.write(descriptor, f"{json.dumps(counts)}\n".encode())
    elif len(plan) > 1:
        log.info("%d workers: %s", len(plan), ", ".join(f"{b} {n}" for b, n in counts.items()))


def _kind(
    simple: bool, concurrency: int | None
) -> tuple[Callable[..., RateAwareWorker], dict[str, int]]:
    """Return the class of worker for so many jobs at once, and what it is told besides."""
    if concurrency is not None and concurrency > 1:
        return RateAwarePoolWorker, {"concurrency": concurrency}
    return (RateAwareSimpleWorker if simple else RateAwareWorker), {}


def _check_known(names: Iterable[str], configs: BucketFile) -> None:
    for name in names:
        if name not in configs:
            raise UnknownBucketError(name, known=configs)
