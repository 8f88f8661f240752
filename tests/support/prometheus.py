"""A real Prometheus with the configuration that is shipped, for one running web."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from spigot.runtime.listening_socket import free_port

from .processes import wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"
SHIPPED = DEPLOY / "prometheus"
TARGET = "web:8000"


class QueryError(AssertionError):
    """Prometheus does not understand an expression; the message says why."""


class Prometheus:
    """One that runs.

    Args:
        url: Of its API.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples that an expression has now."""
        samples: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return samples

    def firing(self) -> dict[str, dict[str, Any]]:
        """Return the alerts that fire by their names and, if they have one, their buckets."""
        alerts = [each for each in self._get("alerts")["alerts"] if each["state"] == "firing"]
        return {_name(alert["labels"]): alert for alert in alerts}

    def is_ready(self) -> bool:
        """Return whether it answers."""
        try:
            with urlopen(f"{self._url}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _get(self, path: str, **parameters: str) -> Any:
        try:
            url = f"{self._url}/api/v1/{path}?{urlencode(parameters)}"
            with urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            raise QueryError(f"{parameters}: {error.read().decode()}") from error


def _name(labels: dict[str, str]) -> str:
    where = labels.get("bucket") or labels.get("rule")
    return f"{labels['alertname']} {where}" if where else labels["alertname"]


@contextmanager
def prometheus(folder: Path, address: str) -> Iterator[Prometheus]:
    """Run Prometheus as it is shipped, but for the address of the web that it scrapes."""
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    config = folder / "prometheus.yml"
    text = config.read_text()
    assert TARGET in text
    config.write_text(text.replace(TARGET, address))
    port = free_port()
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=1h"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        wait_for(lambda: process.poll() is not None or running.is_ready(), 60)
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        yield running
    finally:
        process.terminate()
        process.wait(20)
