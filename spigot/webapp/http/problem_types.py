"""The kinds of problems, each with a URI that programs can match.

Source: RFC 9457, section 3.1.1; RFC 8141 (URNs: they name, and nobody is to fetch them).
"""

from enum import Enum
from http import HTTPStatus

PREFIX = "urn:spigot:problem:"

RENAMED = {
    413: "body-too-large",
    414: "uri-too-long",
    416: "range-not-satisfiable",
    422: "unprocessable-content",
}
"""Their phrases differ between versions of Python."""


class ProblemType(Enum):
    """A kind of problem that needs more than its status to be known; the value says what it is."""

    NOT_JSON = "the body is not JSON"
    BROKEN_BODY = "the body's chunks are broken"
    NOT_SERVED = "requests from this address are not served"
    NO_SUCH_JOB = "there is no such job, or not any more"
    NO_SUCH_BUCKET = "there is no such bucket"
    NO_SUCH_FAILURE = "there is no such group of failures, or not any more"
    READ_ONLY = "the admin's changes are taken away here"
    JOB_ENDED = "the job had already ended"
    KEY_REUSED = "the `Idempotency-Key` was used for another request"
    UNKNOWN_JOB_TYPE = "there is no such job type"
    INVALID_PAYLOAD = "a field of the payload is missing or wrong"
    INVALID_COST = "what the job costs cannot be reckoned, or fits no budget of its bucket"
    COST_EXCEEDS_BURST = "the job costs more than a budget of its bucket grants at once"
    INVALID_BODY = "a field of the body is missing or wrong"
    BUCKET_FULL = "the bucket is full"
    BUCKET_DRAINING = "the bucket takes no new jobs"
    SERVER_AWAY = "the server that keeps the jobs does not answer"
    NOT_REPLICATED = "too few replicas have the job"
    TOO_MANY_LISTENERS = "too many clients wait for jobs"

    @property
    def uri(self) -> str:
        """Return what the member ``type`` of a problem document says."""
        return PREFIX + self.name.lower().replace("_", "-")


def uri_of_status(status: int) -> str:
    """Return the URI of a problem of which the status says all, such as 404 for a wrong path."""
    phrase = RENAMED.get(status) or HTTPStatus(status).phrase.lower()
    return PREFIX + phrase.replace(" ", "-").replace("'", "")
