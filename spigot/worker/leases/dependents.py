"""Releases the jobs that wait for the end of another (RQ's ``depends_on``)."""

import logging

from redis.exceptions import RedisError, ResponseError
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.store.stored_values import is_spoilt

from .lease_store import LeaseStore

log = logging.getLogger(__name__)


def release_dependents(leases: LeaseStore, parent_id: str) -> None:
    """Have RQ enqueue the jobs that waited for ``parent_id``; doing it again is harmless.

    That a job ended is noted by the script that ends it, until this is done: if the worker dies
    before, another does it.

    Raises:
        redis.RedisError: It must be done again.
    """
    redis = leases.redis
    try:
        parent = Job.fetch(parent_id, connection=redis, serializer=JSONSerializer)
        Queue(connection=redis, serializer=JSONSerializer).enqueue_dependents(parent)
    except NoSuchJobError:
        log.debug("job %s is gone, and with it what waited for it", parent_id)
    except (
        ValueError,
        ResponseError,
    ) as error:  # its id, or what is kept under it, is none of RQ's
        if isinstance(error, ResponseError) and not is_spoilt(error):
            raise
        log.error("jobs that depend on job %r cannot be enqueued: %s", parent_id, error)
    except RedisError:
        raise
    except Exception:  # one job that RQ cannot read must not stop the others
        log.exception("jobs that depend on job %s cannot be enqueued", parent_id)
    leases.dependents_released(parent_id)
