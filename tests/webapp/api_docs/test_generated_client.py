"""A client that a program writes from ``/openapi.json`` works."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def client_of(tmp_path, monkeypatch):
    """Return a function that writes a client for a running API, and imports it."""

    def write(web):
        status, document = web.ask("GET", "/openapi.json")
        assert status == 200
        (tmp_path / "openapi.json").write_text(json.dumps(document))
        (tmp_path / "config.yml").write_text("post_hooks: []")
        program = Path(sys.executable).with_name("openapi-python-client")
        written = subprocess.run(
            [program, "generate", "--path", "openapi.json", "--config", "config.yml",
             "--meta", "none", "--output-path", "generated_client"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert written.returncode == 0, written.stdout + written.stderr
        assert "WARNING" not in written.stdout + written.stderr
        monkeypatch.syspath_prepend(str(tmp_path))
        return importlib.import_module("generated_client")

    yield write
    for name in [name for name in sys.modules if name.startswith("generated_client")]:
        del sys.modules[name]


@pytest.mark.slow
def test_a_generated_client_submits_a_job_and_asks_for_it(fleet, client_of):
    fleet.settings["SPIGOT_APPS"] = "spigot.examples,tests.support.outcome_app"
    with fleet.web() as web:
        generated = client_of(web)
        part = importlib.import_module
        create = part("generated_client.api.jobs.jobs_create")
        show = part("generated_client.api.jobs.job_show")
        models = part("generated_client.models")
        body = models.EchoJobRequest(type_="echo", payload=models.Echo(text="hello"))
        with generated.Client(base_url=f"http://{web.host}:{web.port}") as client:
            job = create.sync(client=client, body=body)
            seen = show.sync(client=client, job_id=job.id)
            missing = show.sync(client=client, job_id="nobody")

    assert (seen.id, seen.type_, seen.status) == (job.id, "echo", "queued")
    assert (missing.status, missing.type_) == (404, "urn:spigot:problem:no-such-job")
