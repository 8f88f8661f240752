"""Jobs that the tests of the worker run."""

import asyncio
import ctypes
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from types import SimpleNamespace

from pydantic import BaseModel, SecretStr, model_validator
from rq import get_current_job

from spigot.jobs.budgets.report import report_cost
from spigot.jobs.types.job_types import job_type
from spigot.jobs.types.progress import report_progress
from spigot.jobs.types.rate_limited import RateLimited
from spigot.jobs.types.refusal import Kind
from spigot.jobs.types.upstream_limits import note_response
from spigot.worker.pool.attempt import Attempt
from spigot.worker.pool.child import Child


@job_type("echo", log=["value"])
def echo(value: int) -> int:
    return value


@job_type("today", retries=2)
def today(folder: str, writable: bool) -> object:
    """Return a date, or what nobody can write."""
    leave_mark(folder, f"{get_current_job().claim.attempt}.started")
    return {"day": date(2026, 1, 2) if writable else object()}


@job_type("spill", hide=["pin"], log=["user"])
def spill(user: str, password: SecretStr, pin: str) -> None:
    """Tell all in an error."""
    raise ValueError(f"{user} {password.get_secret_value()} {pin}")


@job_type("spend")
def spend(tokens: int) -> None:
    """Report what was used, in two parts, and what the downstream says of its limit."""
    report_cost(tokens=tokens - 1)
    report_cost(tokens=1)
    headers = {"x-ratelimit-limit-tokens": "500", "x-ratelimit-remaining-tokens": "400"}
    note_response(SimpleNamespace(headers=headers))


@job_type("overspend", timeout=60)
def overspend(folder: str, tokens: int) -> str:
    """Use more than was reserved, hear that little is left, and go on until the mark ``go``."""
    report_cost(tokens=tokens)
    headers = {"x-ratelimit-limit-tokens": "500", "x-ratelimit-remaining-tokens": "3"}
    note_response(SimpleNamespace(headers=headers))
    leave_mark(folder, "here")
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)
    try:
        report_cost(tokens=1, tokns=1)
    except ValueError as error:
        return str(error)
    return "not told"


@job_type("overspend_async", timeout=60)
async def overspend_async(folder: str, tokens: int) -> str:
    """The same on an event loop."""
    return await asyncio.to_thread(overspend, folder, tokens)


@job_type("note")
def note() -> str:
    """Talk to the server from within the work horse."""
    job = get_current_job()
    job.meta["seen"] = True
    job.save_meta()
    return "noted"


@job_type("stumble", retries=1)
def stumble() -> str:
    """Fail once."""
    if get_current_job().number_of_retries is None:
        raise ValueError("stumbled")
    return "up again"


@job_type("fail_first")
def fail_first() -> str:
    """Fail at the first attempt, without a retry."""
    if get_current_job().claim.attempt == 1:
        raise ValueError("failed")
    return "done"


@job_type("refused")
def refused() -> str:
    """Be refused by the downstream at the first attempt."""
    if get_current_job().claim.attempt == 1:
        raise RateLimited(0.05)
    return "served"


@job_type("unserved")
def unserved(kind: Kind, times: int = 99, seconds: float | None = None) -> str:
    """Be refused by the downstream so many times."""
    if get_current_job().claim.attempt <= times:
        raise RateLimited(seconds, kind=kind)
    return "served"


@job_type("note_start")
def note_start(folder: str, is_refused: bool) -> None:
    """Leave the time of the start; be refused at the first attempt, if so told."""
    job = get_current_job()
    leave_mark(folder, f"{job.id}-{job.claim.attempt}.{'refused' if is_refused else 'started'}")
    if is_refused and job.claim.attempt == 1:
        raise RateLimited(0.6)


@job_type("trace")
def trace(folder: str, seconds: float = 0) -> str:
    """Leave a file for each start, and for each end."""
    job = get_current_job()
    leave_mark(folder, f"{job.claim.attempt}.started")
    time.sleep(seconds)
    leave_mark(folder, f"{job.claim.attempt}.ended")
    return "done"


@job_type("hold_once")
def hold_once(folder: str) -> str:
    """Run for ever at the first attempt, and end at once at the second."""
    first = get_current_job().claim.attempt == 1
    leave_mark(folder, f"{get_current_job().claim.attempt}.started")
    time.sleep(600 if first else 0)
    return "done"


@job_type("nap_a_little")
def nap_a_little() -> str:
    time.sleep(0.2)
    return "awake"


@job_type("nap_on_loop")
async def nap_on_loop() -> str:
    await asyncio.sleep(0.2)
    return "awake"


@job_type("wait_together", timeout=30)
async def wait_together(folder: str, name: str) -> bool:
    """Wait for another job without blocking, and tell whether this is still the present one."""
    return await meet(folder, name)


@job_type("wait_in_thread", timeout=30)
def wait_in_thread(folder: str, name: str) -> bool:
    """The same in a plain function."""
    before = get_current_job().id
    leave_mark(folder, f"{name}.here")
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)
    return bool(get_current_job().id == before)


async def meet(folder: str, name: str) -> bool:
    """The same, as plain RQ may be asked to run it."""
    before = get_current_job().id
    leave_mark(folder, f"{name}.here")
    report_progress(1, 2)
    while not (Path(folder) / "go").exists():
        await asyncio.sleep(0.01)
    if "RQ_JOB_ID" in os.environ:  # alone in a work horse, where RQ knows one thread only
        return bool(before == get_current_job().id)
    inside = await asyncio.gather(_id_of_present_job(), asyncio.to_thread(get_current_job))
    return bool(before == inside[0] == inside[1].id == get_current_job().id)


async def _id_of_present_job() -> str:
    await asyncio.sleep(0)
    return str(get_current_job().id)


@job_type("linger", timeout=1)
def linger(how: str) -> None:
    """Run over its timeout in one of the ways that functions have."""
    match how:
        case "computing":
            while True:
                pass
        case "on a socket":
            reader, writer = socket.socketpair()
            reader.recv(1)
            writer.close()
        case "swallowing":
            while True:
                try:
                    time.sleep(0.01)
                except Exception:
                    continue


class Slow(BaseModel):
    """A payload that takes a worker its time: by default it never comes to an end with it."""

    seconds: float = 600

    @model_validator(mode="after")
    def wait_in_a_worker(self) -> "Slow":
        time.sleep(self.seconds if "RQ_WORKER_ID" in os.environ else 0)
        return self


@job_type("never_begin", payload=Slow, timeout=1)
def never_begin(payload: Slow) -> None:
    """Wait for ever before the function is called, as an import may."""


@job_type("never_begin_on_loop", payload=Slow, timeout=1)
async def never_begin_on_loop(payload: Slow) -> None:
    """The same on the event loop."""


@job_type("begin_late", payload=Slow)
def begin_late(payload: Slow) -> None:
    """Take some time before the function is called."""


@job_type("begin_late_on_loop", payload=Slow)
async def begin_late_on_loop(payload: Slow) -> None:
    """The same on the event loop."""


@job_type("linger_on_loop", timeout=1)
async def linger_on_loop(how: str) -> None:
    """The same on the event loop."""
    if how == "awaiting":
        await asyncio.sleep(600)
    time.sleep(600)


@job_type("keep_loop")
async def keep_loop(seconds: float) -> None:
    """Keep the event loop for a while, as one that makes a client does, and await then."""
    time.sleep(seconds)
    await asyncio.sleep(0)


@job_type("crash")
def crash() -> None:
    """Crash the interpreter."""
    ctypes.string_at(0)


@job_type("crash_on_loop")
async def crash_on_loop() -> None:
    """The same in a sub-task of a coroutine."""
    await asyncio.gather(asyncio.sleep(0.01), _crash())


async def _crash() -> None:
    ctypes.string_at(0)


@job_type("break_pool")
def break_pool(what: str) -> None:
    """From now on, have the process that runs this job among others fail to hear, or to tell."""
    owner, method = {"hear": (Child, "_obey"), "tell": (Attempt, "finish")}[what]
    setattr(owner, method, raise_mute)


@job_type("compute", timeout=60)
def compute(folder: str) -> None:
    """Compute, and let other threads run now and then, as Python does by itself."""
    while not (Path(folder) / "go").exists():
        sum(range(10_000))


@job_type("keep_lock", timeout=60)
def keep_lock() -> None:
    """Keep the interpreter's lock for ever."""
    re.match(r"(a+)+$", "a" * 60 + "b")


@job_type("die")
def die() -> None:
    """Take the work horse down, as the kernel does when memory is short."""
    os.kill(os.getpid(), 9)


@job_type("overrun", timeout=1)
def overrun() -> None:
    """Run over its timeout, and do not heed it."""
    while True:
        try:
            time.sleep(600)
        except BaseException:
            continue


def leave_mark(folder: str, name: str) -> None:
    """Write the time into a file, which appears whole."""
    path = Path(folder) / name
    half = path.with_suffix(".half")
    half.write_text(f"{time.time()} {os.getpid()}")
    half.rename(path)


# What plain RQ may be asked to run


def double(number: int) -> int:
    return 2 * number


def fail() -> None:
    raise ValueError("no use")


def nap(seconds: float) -> str:
    time.sleep(seconds)
    return "awake"


def start_and_nap(folder: str, seconds: float) -> str:
    leave_mark(folder, "started")
    time.sleep(seconds)
    return "awake"


def return_bytes(size: int) -> str:
    return "x" * size


def print_lines(number: int) -> str:
    for line in range(number):
        print(f"line {line} {'.' * 80}")
    return "printed"


def close_all_files() -> str:
    os.closerange(3, 256)
    return "closed"


def exit_at_once(code: int) -> None:
    os._exit(code)


def exit_politely() -> None:
    sys.exit("enough")


def fork_and_return() -> str:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return "parent" if child else "child"


def leave_a_child(folder: str) -> None:
    """Start a program that outlives the function, and be killed."""
    child = subprocess.Popen(["sleep", "600"])
    leave_mark(folder, f"child-{child.pid}")
    os.kill(os.getpid(), 9)


def environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("RQ_WORKER_ID", "RQ_JOB_ID")}


def close_all_files_and_nap(seconds: float) -> None:
    os.closerange(3, 256)
    time.sleep(seconds)


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def raise_mute(*_: object) -> None:
    raise MuteError


def terminate_a_process() -> int:
    """Start a process by fork, as multiprocessing may, and end it."""
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    process.start()
    time.sleep(0.1)
    process.terminate()
    process.join()
    return process.exitcode


@job_type("whoami")
def whoami() -> int:
    return os.getpid()


@job_type("leave")
def leave() -> None:
    """Try to end the process."""
    sys.exit("bye")


@job_type("too_long", timeout=1)
def too_long() -> None:
    time.sleep(600)


@job_type("stubborn")
def stubborn(folder: str) -> None:
    """Heed no exception."""
    leave_mark(folder, f"{get_current_job().claim.attempt}.started")
    while True:
        try:
            time.sleep(600)
        except BaseException:
            continue


@job_type("tidy")
def tidy(folder: str) -> None:
    """Clean up, however it ends."""
    leave_mark(folder, "1.started")
    try:
        time.sleep(600)
    finally:
        leave_mark(folder, "tidied")


@job_type("defiant")
def defiant(folder: str) -> str:
    """Return when told to stop."""
    leave_mark(folder, "1.started")
    try:
        time.sleep(600)
    except BaseException:
        return "done"
    return "slept"


@job_type("tasks")
async def tasks(folder: str) -> None:
    """Wait in a group of tasks."""
    leave_mark(folder, "1.started")
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(600))
        group.create_task(asyncio.to_thread(leave_mark, folder, "thread"))
