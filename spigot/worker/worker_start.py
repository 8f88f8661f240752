"""What a worker is told: its arguments, its settings and the files that they name."""

from dataclasses import dataclass

from redis import Redis

from spigot.jobs.bucket.file import BucketFile
from spigot.jobs.types.app_choice import choose_apps
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.errors import OperatorError
from spigot.runtime.missing_files import refuse_missing_file
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.settings import Settings, load_settings
from spigot.worker.rq.bucket_queues import Queues, bucket_of, queue_names


@dataclass(frozen=True, slots=True)
class WorkerStart:
    """All that a worker is told.

    Attributes:
        queues: Names, most urgent first.
        bucket: That they belong to.
        settings: Of the process.
        catalog: The job types.
        buckets: The buckets' numbers in the file.
        connection: To the server.
    """

    queues: list[str]
    bucket: str
    settings: Settings
    catalog: JobCatalog
    buckets: BucketFile
    connection: Redis


def prepare_start(
    queues: Queues,
    connection: Redis | None,
    settings: Settings | None,
    catalog: JobCatalog | None,
    buckets: BucketFile | None,
    timeout: float,
) -> WorkerStart:
    """Find what was not given.

    Args:
        queues: In any of the forms that RQ takes.
        connection: None, or the localhost that RQ's command takes when it is told nothing, gives
            way to the server that the settings name.
        settings: None reads the environment.
        catalog: None loads the modules that the settings name.
        buckets: None reads the file that the settings name.
        timeout: Seconds, of a connection that is made here.

    Raises:
        SystemExit: Something is wrong; its message is one line that says what. It ends RQ's
            command as well, which would answer any other error with a traceback.
    """
    try:
        names = queue_names(queues)
        bucket = bucket_of(names)
        settings = settings or load_settings()
        if connection is None or _is_unnamed(connection):
            connection = connect(find_server_url(settings), timeout=timeout)
        catalog = catalog or JobCatalog.load(choose_apps(settings))
        if buckets is None:
            refuse_missing_file(settings, "buckets")
            buckets = BucketFile.of(settings, [bucket], catalog.costs())
        return WorkerStart(names, bucket, settings, catalog, buckets, connection)
    except (OperatorError, ValueError) as error:
        raise SystemExit(str(error)) from error


def _is_unnamed(connection: Redis) -> bool:
    """Return whether RQ's command made this connection without being told a server."""
    options = connection.connection_pool.connection_kwargs
    address = (options.get("host"), options.get("port"), options.get("db"))
    return address == ("localhost", 6379, 0) and not options.get("password")
