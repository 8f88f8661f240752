"""Check that the buckets of this machine are those that all machines go by."""

from collections.abc import Iterator

from redis import Redis

from spigot.jobs.bucket.config import load_bucket_configs
from spigot.jobs.bucket.publishing import differences
from spigot.runtime.errors import OperatorError
from spigot.runtime.settings import Settings

from .finding import Finding
from .key_checks import is_spoilt

MEND = (
    "give all machines the same buckets.json: the one that was read last counts. Workers and web "
    "read it again when it changes"
)


def check_published_buckets(redis: Redis, settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each number of ``buckets.json`` that another file has overwritten.

    What an operator set counts before any file, and is not looked at.

    Args:
        redis: Connection to the server of the queue side, with replies as bytes.
        settings: Ours.
    """
    try:
        configs = load_bucket_configs(settings.buckets, optional=settings.is_unset("buckets"))
    except OperatorError:  # check_job_types says so
        return
    sound = {name: config for name, config in configs.items() if not is_spoilt(redis, name)}
    for it in differences(redis, sound):
        detail = (
            f"bucket {it.bucket}: {it.field} is {it.here} in {settings.buckets}, and "
            f"{it.there or 'not stated'} in the file that was read last"
        )
        yield Finding("buckets", False, detail, MEND)
