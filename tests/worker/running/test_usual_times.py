"""A claimed job has the values that RQ's own has, though its times are read by ourselves."""

import pytest
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim
from spigot.worker.running.claimed_job import ClaimedJob
from spigot.worker.running.usual_times import TIMES

FIELDS = {b"data": b'["f", null, [], {}]', b"created_at": b"2026-01-01T12:00:00.000001Z"}
USUAL = b"2026-11-28T19:49:27.123456Z"
OF_OURS = {"claim", "start_at", "type_name", "hidden", "request_id"}


def theirs(fields: dict[bytes, bytes]) -> Job:
    job = Job("id", connection=Redis(), serializer=JSONSerializer)
    job.restore(fields)
    return job


def ours(fields: dict[bytes, bytes]) -> ClaimedJob:
    return ClaimedJob.of(Claim("id", "default", "token", 0, 0, 0.0, 1, fields), Redis())


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    "text", [USUAL, b"2026-11-28T19:49:27Z", b"2026-11-28T19:49:27.5Z", b"", None]
)
def test_a_job_is_read_as_rq_reads_it(name, text):
    fields = {key: value for key, value in FIELDS.items() if key != name.encode()}
    if text is not None:
        fields[name.encode()] = text
    expected, found = vars(theirs(fields)), vars(ours(fields))
    unlike = {key for key, value in expected.items() if found[key] != value}

    assert found.keys() - OF_OURS == expected.keys()
    # RQ takes the present for the time of a job that tells none
    assert unlike <= {"connection", "timeout"} | ({"created_at"} if not text else set())


@pytest.mark.parametrize(
    "text", [b"2026-13-28T19:49:27.123456Z", b"2026-02-30T19:49:27.123456Z", b"tomorrow"]
)
@pytest.mark.parametrize("read", [theirs, ours])
def test_a_time_that_cannot_be_is_refused(read, text):
    with pytest.raises(ValueError, match=r".+"):
        read(FIELDS | {b"started_at": text})
