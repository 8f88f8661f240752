import os
import subprocess
import sys

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.runtime.server.server_url import ServerUrlFile
from tests.support.consistency import status_of
from tests.support.sentinel_stack import sentinel_stack

SAMPLE = "tests.support.worker_jobs"
KINDS = ["RateAwareWorker", "RateAwareSimpleWorker", "RateAwarePoolWorker"]


@pytest.fixture
def environment(tmp_path):
    """Of a program that is told nothing: files of ``tmp_path`` say what there is to say."""
    path = f"{os.getcwd()}:{os.environ.get('PYTHONPATH', '')}"
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": path}


@pytest.fixture
def rq_worker(tmp_path, environment):
    """Return a function that runs RQ's command in ``tmp_path`` until nothing waits."""

    def rq_worker(kind="RateAwareWorker", **told):
        command = [sys.executable, "-m", "rq.cli", "worker", "-w", f"spigot.{kind}", "--burst"]
        return subprocess.run(
            [*command, "default"],
            cwd=tmp_path,
            env={**environment, **told},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return rq_worker


def enqueue(redis):
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    return queue.enqueue(f"{SAMPLE}.double", 1).id


@pytest.mark.parametrize("kind", KINDS)
def test_rqs_command_uses_the_server_that_the_env_file_names(
    redis, redis_url, tmp_path, rq_worker, kind
):
    job = enqueue(redis)
    (tmp_path / ".env").write_text(f"REDIS_URL={redis_url}\nSPIGOT_APPS={SAMPLE}\n")

    ended = rq_worker(kind)

    assert ended.returncode == 0, ended.stderr
    assert status_of(redis, job) == "finished"


def test_rqs_command_uses_the_server_of_spigot_up(redis, redis_url, tmp_path, rq_worker):
    job = enqueue(redis)
    with ServerUrlFile(tmp_path / "data") as file:
        file.publish(redis_url)

        ended = rq_worker(SPIGOT_APPS=SAMPLE)

    assert ended.returncode == 0, ended.stderr
    assert status_of(redis, job) == "finished"


@pytest.mark.slow
def test_rqs_command_finds_the_primary_by_its_sentinels(rq_worker):
    with sentinel_stack() as stack:
        job = enqueue(stack.primary.client)

        ended = rq_worker(REDIS_URL=stack.url, SPIGOT_APPS=SAMPLE)

        assert ended.returncode == 0, ended.stderr
        assert status_of(stack.primary.client, job) == "finished"


def test_rqs_command_says_in_one_line_that_there_is_no_server(rq_worker):
    ended = rq_worker()

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("no server: set REDIS_URL, or run `spigot up`")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "told",
    [{"RQ_REDIS_URL": "redis://127.0.0.1:1"}, {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}],
)
def test_what_rqs_command_is_told_goes_before_the_settings(redis_url, tmp_path, rq_worker, told):
    (tmp_path / ".env").write_text(f"REDIS_URL={redis_url}\n")

    ended = rq_worker(**told)

    assert ended.returncode == 1
    assert "connecting to 127.0.0.1:1" in ended.stderr
