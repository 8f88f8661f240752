"""An app behind the door, served by gunicorn as Spigot ships it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

WEB = """
import sys
from flask import Flask
from spigot.runtime.listening_socket import listen
from spigot.runtime.settings import load_settings
from spigot.webapp.door.door import Door
from spigot.webapp.gunicorn.settings import gunicorn_settings
from spigot.webapp.gunicorn.web_server import WebServer

def create_app():
    app = Flask(__name__)
    app.add_url_rule("/", "hello", lambda: "hello")
    Door(app, rules=sys.argv[2], redis_url=sys.argv[1], deadline=5, web_processes=2)
    return app

listener = listen("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
WebServer(create_app, gunicorn_settings(load_settings(), listener.detach())).run()
"""


class Web(NamedTuple):
    """Running web processes.

    Attributes:
        port: Where they listen.
        pid: Of their master.
    """

    port: int
    pid: int


@contextmanager
def web(redis_url: str, path: Path) -> Iterator[Web]:
    """Run two web processes with the rules at ``path``."""
    command = [sys.executable, "-c", WEB, redis_url, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield Web(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


def ask_over_http(port: int, times: int) -> list[HTTPResponse]:
    """Ask that often on one connection; return the answers, whose bodies are read."""
    found = []
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        for _ in range(times):
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            found.append(answer)
    return found
