"""The script that lets people watch the limiter work."""

import json
import re

import pytest
from click.testing import CliRunner
from werkzeug.serving import make_server

from spigot.examples.gateway import create_app
from spigot.examples.try_limiter import main
from tests.support.served import served


@pytest.fixture
def gateway(redis, redis_url, monkeypatch, tmp_path):
    """URL of a gateway that serves, and whose bucket gets nothing back during a burst."""
    rules = tmp_path / "limits.json"
    rules.write_text(json.dumps({"default": {"capacity": 20, "refill_rate": 0.001}}))
    monkeypatch.setattr("spigot.examples.gateway.RULES", rules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)
    with served(make_server("127.0.0.1", 0, create_app(), threaded=True)) as address:
        yield f"http://{address}"


def test_prints_each_answer_of_a_burst_with_its_headers(gateway):
    result = CliRunner().invoke(main, [f"{gateway}/", "--requests", "40"])

    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert len(lines) == 41
    assert lines[0] == (
        '  1  200  RateLimit: "default";r=19;t=1000  '
        "X-RateLimit-Limit: 20  X-RateLimit-Remaining: 19  X-RateLimit-Reset: 1000"
    )
    assert re.fullmatch(r" 40 +429 .*X-RateLimit-Remaining: 0 .*Retry-After: \d+", lines[39])
    assert lines[40] == "20 x 200, 20 x 429"


def test_says_in_one_line_that_nobody_answers():
    result = CliRunner().invoke(main, ["http://127.0.0.1:1/"])

    assert result.exit_code == 1
    assert result.output.startswith("Error: http://127.0.0.1:1/ does not answer: ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://127.0.0.1/", "http://"])
def test_says_in_one_line_that_an_address_is_none(url):
    result = CliRunner().invoke(main, [url])

    assert result.exit_code == 2
    assert "http://" in result.output
