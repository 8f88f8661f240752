"""Starts workers quickly: forks them from a process that has imported everything already.

The process is a program of its own (``python -m tests.support.fast_workers SOCKET``), because a
test process has threads, and is told what to do by lines of JSON. Its workers die with it.
"""

import faulthandler
import gc
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from spigot import RateAwarePoolWorker, RateAwareSimpleWorker, RateAwareWorker
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.child_process import die_with_parent
from spigot.runtime.settings import load_settings

from .processes import is_alive, state_of, wait_for
from .warm_python import warm_python

APPS = ["tests.support.worker_jobs"]
ROOT = Path(__file__).parents[2]


class WorkerProcess:
    """One worker, seen from a test."""

    def __init__(self, fork_server: "ForkServer", number: int, pid: int, log_path: Path) -> None:
        self.pid = pid
        self._number = number
        self._fork_server = fork_server
        self._log_path = log_path

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log_path.read_text()

    @property
    def horses(self) -> list[int]:
        """Its children that live."""
        try:
            tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
            children = " ".join(task.read_text() for task in tasks)
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [int(child) for child in children.split() if is_alive(int(child))]

    def send(self, signal_number: int) -> None:
        """Send it a signal; one that has ended does not mind."""
        self._fork_server.ask(do="send", worker=self._number, signal=signal_number)

    def kill(self) -> None:
        """End it as the kernel would, and wait until it has ended."""
        self.send(signal.SIGKILL)
        self.wait()

    def kill_horses(self) -> int:
        """End its work horses as the kernel would; return how many there were."""
        with self._standing_still():
            return self._kill_horses()

    def kill_with_horse(self) -> None:
        """End both at one moment: it does not see its work horse die."""
        with self._standing_still():
            self._kill_horses()
            self.kill()

    @contextmanager
    def _standing_still(self) -> Iterator[None]:
        """Let it neither fork nor reap anything meanwhile."""
        self.send(signal.SIGSTOP)
        wait_for(lambda: state_of(self.pid) in "TZX")
        yield
        self.send(signal.SIGCONT)

    def _kill_horses(self) -> int:
        horses = self.horses
        for horse in horses:
            os.kill(horse, signal.SIGKILL)
        return len(horses)

    def stop(self, seconds: float = 60) -> int:
        """Ask it to stop; return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait(seconds)

    def exit_code(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._fork_server.ask(do="exit_code", worker=self._number)

    def wait(self, seconds: float = 60) -> int:
        """Return its exit code once it has ended."""
        wait_for(lambda: self.exit_code() is not None, seconds)
        code = self.exit_code()
        assert code is not None
        return code


class ForkServer:
    """The process that forks workers, seen from the tests; safe in threads."""

    def __init__(self) -> None:
        with TemporaryDirectory(prefix="spigot-") as folder, socket.socket(socket.AF_UNIX) as door:
            door.bind(f"{folder}/orders.sock")
            door.listen()
            door.settimeout(60)
            self._process = warm_python().start(
                "-m", "tests.support.fast_workers", door.getsockname(),
                folder=ROOT, output=sys.__stdout__, errors=sys.__stderr__,
            )  # fmt: skip
            self._connection, _ = door.accept()
        self._connection.settimeout(None)
        self._orders = self._connection.makefile("rw")
        self._mutex = threading.Lock()

    def ask(self, **order: Any) -> Any:
        with self._mutex:
            self._orders.write(json.dumps(order) + "\n")
            self._orders.flush()
            return json.loads(self._orders.readline())

    def start(
        self,
        settings: dict[str, Any],
        *,
        queues: list[str],
        log_path: Path,
        simple: bool = False,
        concurrency: int = 1,
        **work: Any,
    ) -> WorkerProcess:
        """Start a worker.

        Args:
            settings: Fields of ``Settings``.
            queues: Names, most urgent first.
            simple: Whether it runs functions in its own process.
            concurrency: How many jobs it runs at once; with more than one it is a pool.
            log_path: Gets what the worker writes to stdout and stderr.
            **work: Passed on to ``RateAwareWorker.work``.
        """
        log_path.touch()
        number, pid = self.ask(
            do="start",
            settings=settings,
            queues=queues,
            log_path=str(log_path),
            simple=simple,
            concurrency=concurrency,
            work=work,
        )
        return WorkerProcess(self, number, pid, log_path)

    def close(self) -> None:
        """End the fork server and all that it started."""
        self._process.kill()
        self._process.wait()
        self._orders.close()
        self._connection.close()


def _main(orders: TextIO) -> None:
    catalog = JobCatalog.load(APPS)
    gc.freeze()
    parent = os.getpid()
    workers = _Workers()
    for line in orders:
        order = json.loads(line)
        workers.reap()
        answer: Any = None
        match order["do"]:
            case "start":
                pid = os.fork()
                if pid == 0:
                    _be_worker(order, catalog, parent)
                answer = workers.add(pid), pid
            case "send":
                workers.send(order["worker"], order["signal"])
            case "exit_code":
                answer = workers.codes.get(order["worker"])
        orders.write(json.dumps(answer) + "\n")
        orders.flush()


class _Workers:
    """The workers of a fork server, by numbers of its own: the kernel soon gives a pid out again.

    Attributes:
        codes: How those ended that have, by number.
    """

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self._pids: dict[int, int] = {}

    def add(self, pid: int) -> int:
        number = len(self.codes) + len(self._pids)
        self._pids[number] = pid
        return number

    def send(self, number: int, signal_number: int) -> None:
        if number in self._pids:
            os.kill(self._pids[number], signal_number)

    def reap(self) -> None:
        for number, pid in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._pids[number]
                self.codes[number] = os.waitstatus_to_exitcode(status)


def _be_worker(order: dict[str, Any], catalog: JobCatalog, parent: int) -> None:
    code = 1
    try:
        die_with_parent(signal.SIGKILL, parent)
        log = os.open(order["log_path"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        null = os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((null, log, log)):
            os.dup2(file, number)
        faulthandler.enable()
        worker_class: Any = RateAwareSimpleWorker if order["simple"] else RateAwareWorker
        options = {}
        if order["concurrency"] > 1:
            worker_class, options = RateAwarePoolWorker, {"concurrency": order["concurrency"]}
        worker = worker_class(
            order["queues"],
            settings=load_settings(**order["settings"]),
            catalog=catalog,
            **options,
        )
        worker.work(**order["work"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
        _main(connection.makefile("rw"))
