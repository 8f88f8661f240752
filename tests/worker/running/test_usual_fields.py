"""A usual job has the values that RQ's own has, though its fields are read by ourselves."""

import zlib

import pytest
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim
from spigot.worker.running import usual_fields
from spigot.worker.running.claimed_job import ClaimedJob

FIELDS = {
    b"data": zlib.compress(b'["f", null, [], {"n": 1}]'),
    b"status": b"started",
    b"created_at": b"2026-11-28T19:49:27.123456Z",
    b"enqueued_at": b"2026-11-28T19:49:27.123456Z",
    b"started_at": b"2026-11-28T19:49:28.123456Z",
    b"last_heartbeat": b"2026-11-28T19:49:28.123456Z",
    b"worker_name": b"somebody",
    b"spigot_enqueued_us": b"1",
    b"spigot_type": b"document",
    b"origin": b"default-high",
    b"description": "f(1) ü".encode(),
    b"timeout": b"30",
    b"result_ttl": b"86400",
    b"failure_ttl": b"-1",
    b"retries_left": b"2",
    b"retry_intervals": b"[1, 2]",
}
OTHERS = {
    b"data": b'["f", null, [], {}]',
    b"status": b"queued",
    b"created_at": b"2026-11-28T19:49:27Z",
    b"timeout": b"-1",
    b"retries_left": b"0",
}
READ_BY_RQ = (b"meta", b"success_callback_name", b"ended_at", b"dependency_id")
OF_OURS = {"claim", "start_at", "type_name", "hidden", "request_id"}


def theirs(fields: dict[bytes, bytes]) -> Job:
    job = Job("id", connection=Redis(), serializer=JSONSerializer)
    job.restore(fields)
    return job


def ours(fields: dict[bytes, bytes], id: str = "id") -> ClaimedJob:
    return ClaimedJob.of(Claim(id, "default", "token", 0, 0, 0.0, 1, fields), Redis())


def unlike(fields: dict[bytes, bytes]) -> set[str]:
    expected, found = vars(theirs(fields)), vars(ours(fields))
    assert found.keys() - OF_OURS == expected.keys()
    return {key for key, value in expected.items() if found[key] != value} - {"connection"}


def test_a_usual_job_is_read_as_rq_reads_it():
    assert usual_fields.usual_attributes(FIELDS)
    assert not unlike(FIELDS)
    assert ours(FIELDS).kwargs == {"n": 1}


@pytest.mark.parametrize("name", sorted(FIELDS.keys() - {b"data"}))
def test_a_job_without_a_field_is_read_as_rq_reads_it(name):
    """RQ takes the present for the time of a job that tells none, and a worker a usual timeout."""
    given = {b"created_at": {"created_at"}, b"timeout": {"timeout"}}.get(name, set())

    assert unlike({key: value for key, value in FIELDS.items() if key != name}) == given
    assert unlike(FIELDS | {name: b""}) == given


@pytest.mark.parametrize("name", OTHERS)
def test_a_job_with_another_value_is_read_as_rq_reads_it(name):
    assert not unlike(FIELDS | {name: OTHERS[name]})


@pytest.mark.parametrize("name", READ_BY_RQ)
def test_a_job_with_more_fields_is_read_by_rq(name):
    fields = FIELDS | {name: b"2026-11-28T19:49:27.123456Z"}

    assert usual_fields.usual_attributes(fields) is None
    assert not unlike(fields)


@pytest.mark.parametrize(
    ("name", "text"), [(b"status", b"lost"), (b"result_ttl", b"soon"), (b"retries_left", b"two")]
)
@pytest.mark.parametrize("read", [theirs, ours])
def test_a_value_that_cannot_be_is_refused(read, name, text):
    with pytest.raises(ValueError, match=r".+"):
        read(FIELDS | {name: text})


def test_an_id_that_rq_refuses_is_refused():
    with pytest.raises(ValueError, match="Job ID must only contain"):
        ours(FIELDS, id="no id")


def test_jobs_share_nothing_that_can_be_changed():
    first, second = ours(FIELDS), ours(FIELDS)
    first.meta["mine"] = True
    first.webhooks.append(object())  # type: ignore[arg-type]
    first._dependency_ids.append("another")
    first.retry_intervals.append(9)

    assert not unlike(FIELDS)
    assert not second.meta
    assert not second.webhooks
