"""The stack of a thread in another process, which must survive that it is asked for."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spigot.worker.pool.stack_dump import StackDump
from tests.support.processes import wait_for


def _dive(depth: int) -> None:
    if depth:
        _dive(depth - 1)


def _compute() -> None:
    """Keep frames and threads coming and going."""
    while True:
        _dive(900)
        threading.Thread(target=_dive, args=(5,)).start()


def _rest() -> None:
    time.sleep(600)


@contextmanager
def child_with(dump: StackDump, *functions) -> Iterator[tuple[int, list[int]]]:
    """Fork a process with a thread for each function; yield its number, and theirs."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        dump.offer()
        threads = [threading.Thread(target=function, daemon=True) for function in functions]
        for thread in threads:
            thread.start()
        os.write(tell, " ".join(str(thread.native_id) for thread in threads).encode())
        time.sleep(600)
        os._exit(0)
    try:
        yield pid, [int(number) for number in os.read(told, 100).split()]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(told)
        os.close(tell)


@pytest.fixture
def dump() -> Iterator[StackDump]:
    dump = StackDump()
    yield dump
    dump.close()
    assert dump.ask(os.getpid(), os.getpid()) == ""


def test_each_thread_writes_its_own(dump):
    with child_with(dump, _rest) as (pid, (other,)):
        wait_for(lambda: "_rest" in dump.ask(pid, other))
        wait_for(lambda: "child_with" in dump.ask(pid, pid))
        assert "_rest" not in dump.ask(pid, pid)


def test_a_thread_that_does_not_run_has_none(dump):
    with child_with(dump, _rest) as (pid, (other,)):
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: "T (stopped)" in Path(f"/proc/{pid}/status").read_text())
        assert dump.ask(pid, other) == ""

    assert dump.ask(pid, other) == ""


@pytest.mark.slow
def test_computing_threads_survive_it(dump):
    """faulthandler's stacks of all threads killed such a process within a second."""
    with child_with(dump, *[_compute] * 3) as (pid, threads):
        stacks = [dump.ask(pid, thread) for _ in range(25) for thread in (pid, *threads)]
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)

    assert any("_dive" in stack for stack in stacks)
