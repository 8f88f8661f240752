"""What the worker relies on in RQ beyond its documentation, each with the sentence that it broke.

What a job of ours has in common with one of RQ's is in tests/jobs/test_rq_contract.py.
"""

import inspect
import json
import signal
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest
from redis import Redis
from redis.client import PubSub
from rq import (
    Queue,
    Retry,
    Worker,
    defaults,
    get_current_job,
    suspension,
    worker_registration,
)
from rq.cli.helpers import CliConfig
from rq.command import (
    PUBSUB_CHANNEL_TEMPLATE,
    handle_command,
    parse_payload,
    send_stop_job_command,
)
from rq.executions import Execution, ExecutionRegistry
from rq.group import Group
from rq.job import Callback, Dependency, Job, _job_stack
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.results import Result
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException
from rq.utils import parse_composite_key
from rq.version import VERSION

from spigot import RateAwareWorker
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import rq_trace
from tests.support.clocked_bucket import WORKER, work

OVERRIDDEN = {
    "work": "RQ's command calls it, with the options of its command line",
    "dequeue_job_and_maintain_ttl": "whoever takes RQ's loop apart finds the claim here",
    "execute_job": "the same, for the attempt",
    "clean_registries": "run_maintenance_tasks calls it; RQ's own fails jobs that run",
    "subscribe": "work calls it, to listen to RQ's commands",
    "unsubscribe": "teardown calls it",
    "teardown": "RQ's own signs the worker off in RQ's lists",
    "handle_payload": "it is what hears RQ's commands; stop-job is obeyed here",
    "kill_horse": "RQ's command kill-horse calls it, from its thread",
    "horse_pid": "RQ's command kill-horse does nothing while it is 0",
    "get_state": "RQ's record of the worker shows it",
    "get_current_job_id": "RQ's record of the worker shows it",
    "connection_timeout": "RQ raises its connection's time-out to it",
    "_set_ip_address": "RQ calls it while a worker is built, and asks the server",
}
"""Methods of RQ's Worker that ours replace, and why."""

ATTRIBUTES_OF_WORKER = {
    "name": "leases and lines of the result log carry it",
    "key": "the record of the worker is kept there",
    "connection": "teardown signs off on it; ours sets one with little patience before",
    "queues": "dead workers are forgotten queue by queue",
    "serializer": "must be JSON's, whatever RQ's command says",
    "hostname": "tells two workers of one name apart",
    "pid": "the same",
    "birth_date": "RQ's record needs it",
    "last_heartbeat": "the same",
    "last_cleaned_at": "tells when maintenance is due",
    "death_penalty_class": "ends functions at their timeout",
    "pubsub_channel_name": "RQ's commands are sent there",
    "should_run_maintenance_tasks": "asked between two jobs",
    "_exc_handlers": "handlers that RQ's command was given are called for failed jobs",
}

ATTRIBUTES_OF_JOB = {
    "func": "the function, which is called with its arguments",
    "serializer": "is set to JSON's, after a constructor that takes its time to check one",
    "created_at": "is set from the job's hash, as the other times",
    "enqueued_at": "the same",
    "started_at": "the same",
    "ended_at": "the same",
    "last_heartbeat": "the same",
    "args": "the first of them",
    "kwargs": "the others, by name",
    "_success_callback_name": "says whether time is needed for a callback",
    "_failure_callback_name": "the same",
    "_stopped_callback_name": "says whether there is one to call",
    "success_callback_timeout": "is added to the time that an attempt may take",
    "failure_callback_timeout": "the same",
    "stopped_callback_timeout": "limits the callback",
    "number_of_retries": "None or the retries that were used",
    "retry_intervals": "the seconds before each retry",
    "enqueue_at_front_on_retry": "puts a retry at the head of its queue",
    "should_retry": "says whether a failed job runs again",
    "webhooks": "are sent when the job has ended",
}

PARAMETERS = [
    (Job.restore, ["self", "raw_data"], "a claimed job is built from the hash that the claim read"),
    (Job.execute_success_callback, ["self", "death_penalty_class", "result"], ""),
    (Job.execute_failure_callback, ["self", "death_penalty_class", "exc_info"], ""),
    (Job.execute_stopped_callback, ["self", "death_penalty_class"], ""),
    (Job.send_webhooks, ["self", "status", "exc_string"], ""),
    (Job.get_retry_interval, ["self"], "seconds before the next retry"),
    (Retry.get_interval, ["count", "intervals"], "seconds before a retry that a function asks for"),
    (
        Queue.enqueue_dependents,
        ["self", "job", ...],
        "releases jobs that waited for it",
    ),
    (Worker.handle_work_horse_killed, ["self", "job", "retpid", "ret_val", "rusage"], ""),
    (worker_registration.register, ["worker", "pipeline"], "shows the worker in RQ's lists"),
    (worker_registration.clean_worker_registry, ["queue"], "forgets dead workers"),
]
"""Functions of RQ that the worker calls, or that call ours: parameters in their order; "..." if
more may follow that we leave out."""

KEYS = {
    keys.running("default"): StartedJobRegistry("default", connection=Mock()).key,
    "rq:finished:default": FinishedJobRegistry("default", connection=Mock()).key,
    keys.failed("default"): FailedJobRegistry("default", connection=Mock()).key,
    "rq:canceled:default": CanceledJobRegistry("default", connection=Mock()).key,
    "rq:scheduled:default": ScheduledJobRegistry("default", connection=Mock()).key,
    "rq:deferred:default": DeferredJobRegistry("default", connection=Mock()).key,
    keys.queue("default"): Queue("default", connection=Mock()).key,
    keys.job("id"): Job.key_for("id"),
    "rq:job:id:dependents": Job.dependents_key_for("id"),
    "rq:job::id:dependencies": Job("id", connection=Mock()).dependencies_key,
    keys.results("id"): Result.get_key("id"),
    "rq:executions:id": ExecutionRegistry("id", connection=Mock()).key,
    "rq:execution:id:token": Execution("token", "id", connection=Mock()).key,
    "rq:worker:": Worker.redis_worker_namespace_prefix,
    "rq:workers": worker_registration.REDIS_WORKER_KEYS,
    "rq:suspended": suspension.WORKERS_SUSPENDED,
    "rq:pubsub:name": PUBSUB_CHANNEL_TEMPLATE % "name",
}
"""Names that our scripts write, and RQ's."""


def broke(what: str, why: str = "") -> str:
    return f"RQ {VERSION} broke an assumption of our worker: {what}" + (f" ({why})" if why else "")


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_every_method_of_rq_that_ours_replaces_is_named_here():
    classes = RateAwareWorker.mro()[: RateAwareWorker.mro().index(Worker)]
    ours = {name for one in classes for name in vars(one) if not name.startswith("__")}
    replaced = {name for name in ours if hasattr(Worker, name)} - {"_stop"}

    assert replaced == OVERRIDDEN.keys(), broke(
        f"RQ's Worker has or had methods of these names: {replaced ^ OVERRIDDEN.keys()}"
    )


@pytest.mark.parametrize(("name", "why"), OVERRIDDEN.items())
def test_what_ours_replaces_is_called_as_before(name, why):
    theirs, ours = getattr(Worker, name), getattr(RateAwareWorker, name)
    if isinstance(theirs, property):
        assert isinstance(ours, property), broke(f"Worker.{name} is a property", why)
    else:
        expected = parameters(ours)
        assert parameters(theirs) == expected, broke(f"Worker.{name} takes {expected}", why)


@pytest.mark.parametrize(("name", "why"), ATTRIBUTES_OF_WORKER.items())
def test_the_worker_has(name, why, redis):
    worker = Worker(["default"], connection=redis, serializer=JSONSerializer)

    assert hasattr(worker, name), broke(f"a Worker has {name}", why)


@pytest.mark.parametrize(("name", "why"), ATTRIBUTES_OF_JOB.items())
def test_a_job_has(name, why, redis):
    job = Job.create(work, connection=redis, serializer=JSONSerializer)

    assert hasattr(job, name), broke(f"a Job has {name}", why)


@pytest.mark.parametrize(
    ("function", "expected", "why"), PARAMETERS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_function_takes(function, expected, why):
    name = function.__qualname__

    found = parameters(function)
    if expected[-1] is ...:
        found[len(expected) - 1 :] = [...]
    assert found == expected, broke(f"{name} takes {expected}", why)


@pytest.mark.parametrize(("ours", "theirs"), KEYS.items())
def test_a_key_is_named(ours, theirs):
    assert ours == theirs, broke(f"a key is named {ours}", "our scripts write it")


def test_defaults():
    found = (defaults.DEFAULT_RESULT_TTL, defaults.DEFAULT_FAILURE_TTL, Queue.DEFAULT_TIMEOUT)

    assert found == (500, 31_536_000, 180), broke("results are kept 500 s and failures a year")


def test_results_are_a_stream_that_rq_reads(redis):
    entry = {
        "type": 2, "worker_name": WORKER, "execution_id": "token",
        "execution_started_at": "1.5", "execution_ended_at": "2.5",
        "exc_string": rq_trace("Traceback: ü"),
    }  # fmt: skip
    redis.xadd(keys.results("id"), entry)
    result = Result.fetch_latest(Job("id", connection=redis), serializer=JSONSerializer)
    types = {kind.name: kind.value for kind in Result.Type}

    assert types["SUCCESSFUL"] == 1, broke("1 is a success", "completion.lua")
    assert types["FAILED"] == 2, broke("2 is a failure", "job_end.lua")
    assert types["RETRIED"] == 4, broke("4 is a retry", "give_back.lua")
    assert result is not None, broke("a result is an entry of a stream")
    assert (result.type, result.exc_string) == (Result.Type.FAILED, "Traceback: ü"), broke(
        "a traceback is kept as base64 of zlib"
    )
    assert result.execution_id == "token", broke("a result names its execution")
    assert result.execution_ended_at == datetime.fromtimestamp(2.5, UTC), broke(
        "times of an execution are Unix seconds"
    )


def test_a_running_job_is_shown_as_rq_shows_it(bucket, redis):
    bucket.enqueue("job")
    claim = bucket.claim()
    job = Job.fetch("job", connection=redis, serializer=JSONSerializer)
    with redis.pipeline() as pipeline:
        Execution.create(job, ttl=60, pipeline=pipeline, worker_name=WORKER)
        pipeline.execute()
    registry = StartedJobRegistry("default", connection=redis, serializer=JSONSerializer)

    assert registry.get_job_ids(cleanup=False) == ["job", "job"], broke(
        "the started registry has entries JOB:EXECUTION"
    )
    assert parse_composite_key(f"job:{claim.token}") == ("job", claim.token), broke(
        "an id of a job has no colon"
    )


def test_a_score_of_infinity_is_never_cleaned_up(bucket, redis):
    bucket.enqueue("job")
    claim = bucket.claim()
    StartedJobRegistry("default", connection=redis).cleanup(timestamp=9e15)

    assert redis.zscore("rq:wip:default", f"job:{claim.token}") == float("inf"), broke(
        "the started registry is cleaned up by score", "or jobs that run would be failed"
    )


class TestCommands:
    @pytest.fixture
    def worker(self) -> Mock:
        return Mock(spec=RateAwareWorker, log=Mock())

    @pytest.fixture
    def listener(self, bucket, redis) -> PubSub:
        """Hears what the worker of a job that runs is told."""
        bucket.enqueue("job")
        bucket.claim()
        listener = redis.pubsub(ignore_subscribe_messages=True)
        listener.subscribe(PUBSUB_CHANNEL_TEMPLATE % WORKER)
        listener.get_message(timeout=5)
        return listener

    def test_stop_job_names_the_job(self, listener, redis):
        send_stop_job_command(redis, "job", serializer=JSONSerializer)
        payload = parse_payload(listener.get_message(timeout=5))

        told = (payload["command"], payload["job_id"])
        assert told == ("stop-job", "job"), broke("stop-job carries the job's id", "handle_payload")

    def test_kill_horse_is_for_a_worker_that_has_one(self, worker):
        worker.horse_pid = 0
        handle_command(worker, {"command": "kill-horse"})
        assert not worker.kill_horse.called, broke("kill-horse asks horse_pid")

        worker.horse_pid = 1
        handle_command(worker, {"command": "kill-horse"})
        assert worker.kill_horse.called, broke("kill-horse calls kill_horse")

    def test_shutdown_is_a_signal(self, worker, monkeypatch):
        sent = []
        monkeypatch.setattr("os.kill", lambda pid, number: sent.append(number))
        handle_command(worker, {"command": "shutdown"})

        assert sent == [signal.SIGINT], broke("shutdown sends the worker SIGINT")

    def test_stop_job_is_published_as_our_cancellation_publishes_it(self, bucket, listener, redis):
        send_stop_job_command(redis, "job", serializer=JSONSerializer)
        theirs = json.loads(listener.get_message(timeout=5)["data"])
        bucket.cancel("job")
        ours = json.loads(listener.get_message(timeout=5)["data"])

        assert ours == theirs, broke(f"stop-job is published as {theirs}", "cancel.lua")


def test_teardown_signs_off_on_the_workers_connection(redis):
    away = Redis(unix_socket_path="/nowhere")
    worker = Worker(["default"], connection=away, prepare_for_work=False)
    worker.unsubscribe = Mock()
    worker.connection = redis
    worker.teardown()

    assert redis.hexists(worker.key, "death"), broke("teardown notes the death in the record")
    assert worker.unsubscribe.called, broke("teardown calls unsubscribe")


def test_maintenance_is_clean_registries_and_groups(redis, monkeypatch):
    groups = Mock()
    monkeypatch.setattr(Group, "clean_registries", groups)
    worker = Worker(["default"], connection=redis, serializer=JSONSerializer)
    worker.clean_registries = Mock()
    worker.run_maintenance_tasks()

    assert worker.clean_registries.called, broke("maintenance calls clean_registries")
    assert groups.called, broke("maintenance cleans up groups")


def test_one_worker_forgets_dead_ones_for_all_of_a_queue(redis, monkeypatch):
    forget = Mock()
    monkeypatch.setattr(worker_registration, "clean_worker_registry", forget)
    names = ["default-high", "default"]

    for _ in range(3):
        RateAwareWorker(names, connection=redis).clean_registries()

    assert [call.args[0].name for call in forget.call_args_list] == names
    assert 0 < redis.ttl("rq:clean_registries:default") <= 900


def test_the_command_connects_to_localhost_when_it_is_told_nothing(monkeypatch):
    monkeypatch.delenv("RQ_REDIS_URL", raising=False)
    options = CliConfig().connection.connection_pool.connection_kwargs
    address = {name: options.get(name) for name in ("host", "port", "db", "password")}

    expected = {"host": "localhost", "port": 6379, "db": 0, "password": None}
    assert address == expected, broke(
        "rq worker connects to localhost:6379 if no URL is given",
        "by that we know that the settings are to name the server",
    )


def test_get_current_job_finds_what_is_pushed_on_the_stack(redis):
    job = Job("id", connection=redis)
    _job_stack.push(job)
    try:
        assert get_current_job() is job, broke("get_current_job returns the top of _job_stack")
    finally:
        _job_stack.pop()


def test_a_callback_gets_the_exception_and_the_result(redis):
    assert issubclass(JobTimeoutException, Exception), broke("a timeout is an Exception")
    assert Callback(work).timeout == 60, broke("callbacks have a minute")


def test_dependents_of_a_failed_job_go_on_waiting_unless_they_allow_it(redis):
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    parent = queue.enqueue(work)
    strict = queue.enqueue(work, depends_on=parent)
    lenient = queue.enqueue(work, depends_on=Dependency(parent, allow_failure=True))
    parent.set_status("failed")
    queue.enqueue_dependents(parent)

    statuses = [job.get_status(refresh=True) for job in (strict, lenient)]
    assert statuses == ["deferred", "queued"], broke(
        "enqueue_dependents reads the parent's state from its hash"
    )
