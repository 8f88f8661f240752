"""What follows from an attempt that ends while the server hangs or is gone is not lost."""

import time

import pytest

from spigot.jobs.job.state import JobReader
from spigot.runtime.server.redis_connection import connect
from tests.support.fleet import Fleet
from tests.support.processes import wait_for


@pytest.fixture
def fleet(server, tmp_path):
    return Fleet(server.url, tmp_path)


@pytest.mark.slow
def test_retry_hold_result_and_progress_outlast_a_server_that_hangs(server, fleet):
    redis = connect(server.url, timeout=5)
    job = fleet.queue(redis).enqueue("ordeal", {"name": "ordeal"})
    note = fleet.folder / "ordeal.note"

    with fleet.workers():
        for attempt in (1, 2, 3):
            wait_for(
                lambda attempt=attempt: note.exists() and len(fleet.notes("ordeal")) == attempt
            )
            server.hang()
            time.sleep(1.2)  # the attempt ends meanwhile
            server.go_on()
        lines = fleet.wait_for_lines(3)

    assert [line["status"] for line in lines] == ["retrying", "rate_limited", "finished"]
    state = JobReader(redis).read(job.id)
    assert (state.status, state.result, state.attempts) == ("finished", 3, 3)
    assert state.progress == {"done": 3, "total": 3, "note": "after"}
    redis.close()
