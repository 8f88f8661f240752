"""What the log says of a child whose coroutines wait for one of them."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from spigot.runtime.log_format import TextFormatter
from spigot.worker.pool import heartbeat
from spigot.worker.pool.culprit import Culprit
from spigot.worker.pool.heartbeat import Heartbeat
from spigot.worker.pool.shared_table import BEAT
from tests.support.processes import wait_for


@pytest.mark.parametrize(
    ("stack", "below", "end"),
    [
        ("  File one\n  File two", 2, "wait for job 7"),
        ("", 0, "wait for job 7, whose stack is unknown"),
    ],
)
def test_a_stack_stands_below_its_line(monkeypatch, caplog, stack, below, end):
    monkeypatch.setattr(heartbeat, "who_keeps_loop", lambda child: Culprit(7, stack))
    monkeypatch.setattr(heartbeat, "thread_times", lambda pid: {})
    now = heartbeat.time.monotonic()
    table = SimpleNamespace(beat_at=lambda word: now + 60 if word == BEAT else now - 4)
    watch = Heartbeat(15, lambda child, place: f"job {place}")

    watch.look([Mock(pid=1, table=table)])
    wait_for(lambda: caplog.records)

    first, *rest = TextFormatter().format(caplog.records[0]).splitlines()
    assert first.endswith(end)
    assert [line.strip() for line in rest] == ["File one", "File two"][:below]
