"""What holds for all applications: they load alone, and together, and do nothing while loading."""

import subprocess
import sys

import pytest

from spigot.examples.simulation import Simulation
from spigot.jobs.types.job_catalog import JobCatalog

NONSENSE = {
    "REDIS_URL": "nonsense",
    "SPIGOT_RATE_LIMITS": "nonsense",
    "EXAMPLES_REQUEST_SECONDS": "nonsense",
}
LOAD = """
import socket, sys

def refuse(*arguments):
    raise AssertionError("a connection was opened")

socket.socket.connect = refuse
from spigot.jobs.types.job_catalog import JobCatalog
JobCatalog.load(["spigot.examples"])
assert "requests" not in sys.modules, "an example stands in for requests"
"""


def test_together_they_define_three_job_types_and_four_blueprints():
    catalog = JobCatalog.load(["spigot.examples"])

    blueprints = [vars(module).get("blueprint") for module in catalog.modules]
    assert {type.name: type.bucket for type in catalog} == {
        "message": "default",
        "request": "requests",
        "document": "documents",
    }
    assert sorted(each.name for each in blueprints if each) == [
        "documents",
        "messages",
        "products",
        "requests",
    ]


@pytest.mark.parametrize("name", ["messages", "requests", "documents", "products", "gateway"])
def test_each_loads_alone(name):
    JobCatalog.load([f"spigot.examples.{name}"])


def test_loading_them_reads_no_setting_and_opens_no_connection(tmp_path):
    subprocess.run([sys.executable, "-c", LOAD], env=NONSENSE, cwd=tmp_path, check=True)


def test_the_seconds_of_work_are_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert (Simulation().request_seconds, Simulation().document_seconds) == (10, 3)

    monkeypatch.setenv("EXAMPLES_REQUEST_SECONDS", "0.5")
    (tmp_path / ".env").write_text("EXAMPLES_DOCUMENT_SECONDS=1.5\n")

    assert (Simulation().request_seconds, Simulation().document_seconds) == (0.5, 1.5)
