"""``/types``: what clients may submit."""

from typing import Any

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict

from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import JobType
from spigot.jobs.types.retry_policy import RetryPolicy
from spigot.webapp.http.description import Answer, described

blueprint = Blueprint("types", __name__, url_prefix="/types")


class ListedType(BaseModel):
    """A job type that clients may submit."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """The `type` of a job."""

    bucket: str
    """Bucket that its jobs wait in."""

    timeout: int
    """Seconds that an attempt may run."""

    retries: RetryPolicy
    """When a job that raised is run again."""

    payload: dict[str, Any] | None
    """JSON schema of the payload; null if JSON schema has no words for it."""

    @classmethod
    def of(cls, job_type: JobType) -> "ListedType":
        """Return what clients are told of a job type."""
        return cls(
            name=job_type.name,
            bucket=job_type.bucket,
            timeout=job_type.timeout,
            retries=job_type.retries,
            payload=job_type.payload_schema,
        )


class Types(BaseModel):
    """All job types that clients may submit, by name."""

    types: list[ListedType]


@blueprint.get("")
@described({200: Answer("All job types that clients may submit.", Types)}, needs_server=False)
def index() -> ResponseReturnValue:
    """Show the job types."""
    catalog: JobCatalog = current_app.extensions["job_catalog"]
    found = sorted(catalog.public(), key=lambda job_type: job_type.name)
    return Types(types=[ListedType.of(job_type) for job_type in found]).model_dump()
