"""The result log: whole lines, none lost, whatever the disk and other processes do."""

import fcntl
import json
import logging
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from spigot.jobs.store import keys
from spigot.worker.leases import result_log
from spigot.worker.leases.result_log import ResultLog
from tests.support.consistency import problems, read_lines, status_of, wait_for_lines
from tests.support.processes import run_script, wait_for

MEGABYTE = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "results.jsonl"


@pytest.fixture
def results(path: Path) -> ResultLog:
    return ResultLog(path, MEGABYTE)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let the kernel refuse to write beyond ``size``; what fits before is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_lines_are_appended_whole_and_told_once(results, path):
    results.write("a", b'{"n": 1}')
    results.write("b", b'{"n": 2}')

    assert path.read_bytes() == b'{"n": 1}\n{"n": 2}\n'
    assert results.written() == ["a", "b"]
    assert results.written() == []


def test_what_the_server_could_not_be_told_is_told_again_and_first(results):
    results.write("a", b"{}")
    tokens = results.written()
    results.write("b", b"{}")
    results.written_again(tokens)

    assert results.written() == ["a", "b"]


class TestFullDisk:
    def test_keeps_lines_until_there_is_room_and_says_so_once(self, results, path, caplog):
        caplog.set_level(logging.WARNING)
        results.write("a", b'{"n": 1}')
        with full_disk(12):
            results.write("b", b'{"n": 2}')
            results.write("c", b'{"n": 3}')
            assert path.read_bytes() == b'{"n": 1}\n'
            assert results.written() == ["a"]
        results.retry()

        assert path.read_bytes() == b'{"n": 1}\n{"n": 2}\n{"n": 3}\n'
        assert results.written() == ["b", "c"]
        refused, back = (record.getMessage() for record in caplog.records)
        assert refused.startswith(f"result log {path} cannot be written, will try again: ")
        assert back == f"result log {path} can be written again"

    def test_leaves_no_half_of_a_line_to_others(self, results, path):
        results.write("a", b"{}")
        with full_disk(5):
            results.write("b", b'{"long": true}')
        ResultLog(path, MEGABYTE).write("c", b"[]")

        assert path.read_bytes() == b"{}\n[]\n"

    def test_keeps_the_order_of_lines(self, results, path):
        with full_disk(0):
            for number in range(5):
                results.write(str(number), b"%d" % number)
        results.write("5", b"5")

        assert path.read_bytes().split() == [b"%d" % number for number in range(6)]

    def test_does_not_fill_the_memory(self, results, path, monkeypatch):
        monkeypatch.setattr(result_log, "KEPT_LINES", 2)
        with full_disk(0):
            for number in range(5):
                results.write(str(number), b"%d" % number)
        results.retry()

        assert path.read_bytes().split() == [b"0", b"1"]
        assert results.written() == ["0", "1"]  # the others stay in Redis, and are adopted


@pytest.mark.parametrize("blocked", ["logs", "logs/results.jsonl"])
def test_a_file_that_cannot_be_written_is_tried_again(results, path, tmp_path, blocked):
    if blocked == "logs":
        (tmp_path / blocked).write_text("no folder")
    else:
        path.mkdir(parents=True)
    results.write("a", b"{}")
    assert results.written() == []
    if blocked == "logs":
        (tmp_path / blocked).unlink()
    else:
        path.rmdir()
    results.retry()

    assert (path.read_bytes(), results.written()) == (b"{}\n", ["a"])


def test_a_pipe_in_its_place_takes_no_line(results, path, caplog):
    path.parent.mkdir()
    os.mkfifo(path)
    results.write("a", b"{}")
    assert results.written() == []
    assert "pipe" in caplog.text
    path.unlink()
    results.retry()

    assert (path.read_bytes(), results.written()) == (b"{}\n", ["a"])


def test_a_device_takes_lines_and_keeps_none(results, path):
    path.parent.mkdir()
    path.symlink_to(os.devnull)
    results.write("a", b"{}")

    assert results.written() == ["a"]


def test_a_file_that_a_stopped_process_has_locked_keeps_nobody_waiting(results, path):
    path.parent.mkdir()
    with (path.parent / ".results.jsonl.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as another process does that is stopped while it writes
        writer = threading.Thread(target=results.write, args=("a", b"{}"), daemon=True)
        writer.start()
        writer.join(20)
        assert not writer.is_alive()
        assert results.written() == []
    results.retry()

    assert (path.read_bytes(), results.written()) == (b"{}\n", ["a"])


class TestTornLine:
    """A process was killed in the midst of writing."""

    @pytest.mark.parametrize("before", [b"", b'{"n": 1}\n', b"%s\n" % (b"1" * 200_000)])
    @pytest.mark.parametrize("torn", [b'{"n": 2, "tex', b'{"n": 2, "text": "%s' % (b"x" * 200_000)])
    def test_is_cut_off(self, results, path, before, torn):
        path.parent.mkdir()
        path.write_bytes(before + torn)
        results.write("b", b'{"n": 3}')

        assert path.read_bytes() == before + b'{"n": 3}\n'

    def test_that_lacks_only_its_end_is_kept(self, results, path):
        path.parent.mkdir()
        path.write_bytes(b'{"n": 1}\n{"n": 2}')
        results.write("b", b'{"n": 3}')

        assert path.read_bytes() == b'{"n": 1}\n{"n": 2}\n{"n": 3}\n'


class TestRotation:
    def test_begins_a_new_file_before_one_becomes_too_large(self, path):
        results = ResultLog(path, max_bytes=30)
        for number in range(5):
            results.write(str(number), b'{"n": "%03d"}' % number)

        files = sorted(path.parent.glob("results*.jsonl"))
        assert [file.stat().st_size for file in files] == [26, 26, 13]
        assert files[-1] == path
        assert files[0].name.startswith("results.20")

    def test_writes_a_line_that_is_larger_than_a_file(self, path):
        ResultLog(path, max_bytes=10).write("a", b'{"long": "line"}')

        assert path.read_bytes() == b'{"long": "line"}\n'

    @pytest.mark.slow
    def test_loses_no_line_of_four_processes(self, path):
        script = """
import sys
from pathlib import Path
from spigot.worker.leases.result_log import ResultLog

path, writer = Path(sys.argv[1]), sys.argv[2]
results = ResultLog(path, max_bytes=20_000)
for number in range(1000):
    line = '{"writer": %s, "number": %d, "text": "%s"}' % (writer, number, "x" * (number % 200))
    results.write(str(number), line.encode())
assert len(results.written()) == 1000
"""
        with ExitStack() as stack:
            writers = [stack.enter_context(run_script(script, path, n)) for n in range(4)]
            assert [writer.stderr.read() for writer in writers] == [""] * 4

        lines = read_lines(path)
        assert sorted((line["writer"], line["number"]) for line in lines) == [
            (writer, number) for writer in range(4) for number in range(1000)
        ]
        files = list(path.parent.glob("results*.jsonl"))
        assert len(files) > 20
        assert max(file.stat().st_size for file in files) <= 20_000


def test_a_log_that_cannot_be_written_fails_no_job(redis, job_queue, start_worker, tmp_path):
    path = tmp_path / "blocked.jsonl"
    path.mkdir()
    worker = start_worker(result_log=str(path))
    jobs = [job_queue.enqueue("echo", {"value": number}) for number in range(3)]
    wait_for(lambda: all(status_of(redis, job.id) == "finished" for job in jobs))
    assert json.dumps(str(path))[1:-1] in worker.log
    assert worker.log.count("cannot be written") == 1
    path.rmdir()
    lines = wait_for_lines(path, 3)

    assert [line["id"] for line in lines] == [job.id for job in jobs]
    wait_for(lambda: redis.hlen(keys.unlogged("default")) == 0)
    assert not list(problems(redis, "default", [job.id for job in jobs]))


def test_lines_of_a_worker_that_ended_meanwhile_are_written_by_another(
    redis, job_queue, start_worker, tmp_path
):
    path = tmp_path / "blocked.jsonl"
    path.mkdir()
    worker = start_worker(result_log=str(path))
    job = job_queue.enqueue("echo", {"value": 1})
    wait_for(lambda: status_of(redis, job.id) == "finished")
    assert worker.stop() == 0
    path.rmdir()
    start_worker(result_log=str(path))

    assert [line["id"] for line in wait_for_lines(path, 1)] == [job.id]


@pytest.mark.slow
def test_each_worker_writes_what_it_kept_also_one_that_sleeps(
    redis, job_queue, start_worker, tmp_path
):
    path = tmp_path / "blocked.jsonl"
    path.mkdir()
    workers = [start_worker(result_log=str(path)) for _ in range(4)]
    jobs = [job_queue.enqueue("nap_a_little", {}) for _ in range(40)]
    wait_for(lambda: all(status_of(redis, job.id) == "finished" for job in jobs))
    assert all("cannot be written" in worker.log for worker in workers)
    path.rmdir()

    assert {line["id"] for line in wait_for_lines(path, 40)} == {job.id for job in jobs}


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b'{"id":"\xff"}', '{"id":"\ufffd"}'),
        (b'{"log":NaN}', '{"log": null}'),
        (b'{"log":\n1}', '{"log": 1}'),
        (b"no JSON", None),
        (b"", None),
    ],
)
def test_every_line_is_json(tmp_path, caplog, line, kept):
    log = ResultLog(tmp_path / "results.jsonl", max_bytes=1000)
    log.write("token", line)

    found = (tmp_path / "results.jsonl").read_text() if kept else ""
    assert found == (f"{kept}\n" if kept else "")
    assert log.written() == ["token"]
    assert bool(caplog.messages) == (kept is None)
