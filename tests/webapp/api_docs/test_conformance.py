"""The running API against its own description, with real workers behind it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fleet import Fleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]


CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]  # that a bucket is full is documented
"""


@pytest.mark.parametrize(
    "options",
    [["--phases", "examples,coverage"], ["--auth", "admin:secret", "--max-examples", "8"]],
    ids=["stranger", "admin"],
)
def test_no_answer_is_outside_of_the_documentation(redis, redis_url, tmp_path, options):
    settings = {"SPIGOT_APPS": "tests.support.minimal_app", "SPIGOT_ADMIN_PASSWORD": "secret"}
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    fleet = Fleet(redis_url, tmp_path, rate="1000/s", settings=settings)
    with fleet.web() as web, fleet.run("worker", "--count", "1"):
        run = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                "run", f"http://{web.host}:{web.port}/openapi.json", *options,
                "--exclude-path", "/broken",  # a view that fails, for other tests
                "--checks", ",".join(CHECKS), "--continue-on-failure", "--seed", "1",
                "--request-timeout", "65", "--suppress-health-check", "all", "--no-color",
            ],
            cwd=tmp_path, env=os.environ | {"NO_PROXY": "127.0.0.1"},
            capture_output=True, text=True, timeout=350,
        )  # fmt: skip

    assert run.returncode == 0, run.stdout[-20_000:]
    assert fleet.log(), "no job was run"
