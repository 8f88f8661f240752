"""Rules that change while web processes run as they are shipped."""

import json
import os
import signal
import time

import pytest

from tests.support.processes import descendants, wait_for
from tests.support.shipped_web import ask_over_http, web


def written(limit):
    return json.dumps({"default": {"limit": limit, "window": 3600}})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rate_limits.json"
    path.write_text(written(1_000_000))
    return path


def limits_in_force(port):
    """Ask on several connections, so that both processes answer."""
    answers = [answer for _ in range(8) for answer in ask_over_http(port, 1)]
    assert {answer.status for answer in answers} == {200}
    return {int(answer.headers["X-RateLimit-Limit"]) for answer in answers}


@pytest.mark.slow
def test_both_processes_take_new_rules_and_keep_the_last_good_ones(redis, redis_url, path):
    with web(redis_url, path) as (port, pid):
        assert limits_in_force(port) == {1_000_000}
        wait_for(lambda: len(descendants(pid)) == 2)
        processes = descendants(pid)
        path.write_text(written(2_000_000))
        wait_for(lambda: limits_in_force(port) == {2_000_000})

        path.write_text("{broken")
        os.kill(pid, signal.SIGHUP)
        began = time.monotonic()
        while time.monotonic() - began < 2:  # the broken file is looked at twice
            assert limits_in_force(port) == {2_000_000}

        path.write_text(written(3_000_000))
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: limits_in_force(port) == {3_000_000})
        assert descendants(pid) == processes
