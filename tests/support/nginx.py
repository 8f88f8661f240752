"""nginx with a configuration that we ship, in front of a running API."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spigot.runtime.listening_socket import free_port

from .processes import wait_for

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx"

AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    {shipped}
}}
"""


@contextmanager
def nginx(name: str, upstream_port: int, folder: Path) -> Iterator[int]:
    """Run nginx with a shipped configuration, in which only the ports differ; yield its port."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    port = free_port()
    shipped = (SHIPPED / name).read_text()
    for ours, theirs in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{upstream_port};"),
    ):
        assert shipped.count(ours) == 1
        shipped = shipped.replace(ours, theirs)
    path = folder / "nginx.conf"
    path.write_text(AROUND.format(folder=folder, shipped=shipped))
    with (folder / "nginx.log").open("wb") as log:
        command = [
            program or pytest.fail("apt-get install nginx-light"),
            "-e",
            "stderr",
            "-c",
            path,
        ]
        with subprocess.Popen(command, stderr=log) as process:
            try:
                wait_for(lambda: process.poll() is not None or _listens(port))
                assert process.poll() is None, (folder / "nginx.log").read_text()
                yield port
            finally:
                process.send_signal(signal.SIGTERM)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
