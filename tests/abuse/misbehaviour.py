"""Functions that harm the process which runs them; ``HARMS`` says what each is to come to.

They are enqueued by plain RQ, by their names.
"""

import ctypes
import io
import logging
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from rq import get_current_job

FINISHED, FAILED, EITHER = {"finished"}, {"failed"}, {"finished", "failed"}


def good() -> str:
    """Show that the worker is well."""
    assert threading.current_thread() is threading.main_thread()
    return "good"


def close_all_files() -> None:
    os.closerange(3, 4096)


def close_standard_streams() -> None:
    os.closerange(0, 3)


def remove_current_folder() -> None:
    folder = Path(os.environ["SPIGOT_DATA_DIR"]) / f"gone-{os.getpid()}"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()


def clear_environment() -> None:
    os.environ.clear()


def change_the_environment() -> None:
    os.environ |= {"REDIS_URL": "redis://127.0.0.1:1/0", "SPIGOT_LEASE_SECONDS": "0"}


def ignore_all_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)


def block_all_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def take_the_alarm() -> None:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)


def become_a_daemon() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()


def leave_threads() -> None:
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def leave_processes() -> None:
    for _ in range(3):
        subprocess.Popen(["sleep", "5"])


def leave_a_pool() -> None:
    multiprocessing.get_context("fork").Pool(2)


def write_binary_noise() -> None:
    sys.stderr.buffer.write(bytes(range(256)) * 400)
    sys.stdout.buffer.write(b"\xff\x00\x1b[2J" * 10_000)


def return_a_circle() -> object:
    circle: list[object] = []
    circle.append(circle)
    return circle


def return_no_number() -> float:
    return float("nan")


def return_depth() -> object:
    deep: object = None
    for _ in range(5_000):
        deep = [deep]
    return deep


def return_bytes_that_are_no_text() -> bytes:
    return b"\xff\xfe"


def fail_at_length() -> None:
    raise ValueError("x" * 1_000_000)


def fail_deeply(depth: int = 10_000) -> None:
    fail_deeply(depth + 1)


def fail_unprintably() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even this")

        __repr__ = __str__

    raise Unprintable


def fail_with_escapes() -> None:
    raise ValueError('\x1b[2J\r\n{"level": "forged"}\ud800\x00')


def exit_by_exception() -> None:
    raise SystemExit(3)


def interrupt() -> None:
    raise KeyboardInterrupt


def crash() -> None:
    ctypes.string_at(0)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_the_worker() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(30)


def use_up_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (300_000_000, resource.RLIM_INFINITY))
    bytearray(10**9)


def open_no_more_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def change_logging() -> None:
    logging.basicConfig(level=logging.CRITICAL, stream=io.StringIO(), force=True)
    logging.disable(logging.CRITICAL)
    logging.shutdown()


def change_sockets() -> None:
    socket.setdefaulttimeout(0.000_001)


def replace_modules() -> None:
    sys.modules["json"] = None  # type: ignore[assignment]
    time.sleep = None  # type: ignore[assignment]


def lower_the_stack() -> None:
    sys.setrecursionlimit(100)


def write_to_its_job() -> None:
    job = get_current_job()
    job.status = job.origin = "\xff"
    job.meta["x"] = "y" * 100_000
    job.save_meta()


HARMS = {
    close_all_files: EITHER,
    close_standard_streams: FINISHED,
    remove_current_folder: FINISHED,
    clear_environment: FINISHED,
    change_the_environment: FINISHED,
    ignore_all_signals: FINISHED,
    block_all_signals: FINISHED,
    take_the_alarm: FINISHED,
    become_a_daemon: EITHER,
    leave_threads: FINISHED,
    leave_processes: FINISHED,
    leave_a_pool: FINISHED,
    write_binary_noise: FINISHED,
    return_a_circle: FAILED,
    return_no_number: EITHER,
    return_depth: FAILED,
    return_bytes_that_are_no_text: FAILED,
    fail_at_length: FAILED,
    fail_deeply: FAILED,
    fail_unprintably: FAILED,
    fail_with_escapes: FAILED,
    exit_by_exception: FAILED,
    interrupt: FAILED,
    crash: FAILED,
    kill_itself: FAILED,
    kill_the_worker: FAILED,
    use_up_memory: FAILED,
    open_no_more_files: EITHER,
    change_logging: FINISHED,
    change_sockets: FINISHED,
    replace_modules: EITHER,
    lower_the_stack: EITHER,
    write_to_its_job: EITHER,
}

IN_THE_WORKER = [
    remove_current_folder, clear_environment, change_the_environment, take_the_alarm,
    leave_threads, leave_processes, write_binary_noise, return_a_circle, return_no_number,
    return_depth, return_bytes_that_are_no_text, fail_at_length, fail_deeply, fail_unprintably,
    fail_with_escapes, exit_by_exception, change_logging, write_to_its_job,
]  # fmt: skip
"""Those after which a worker that runs jobs in its own process must go on."""
