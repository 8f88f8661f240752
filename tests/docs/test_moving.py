"""What docs/moving.md shows of Spigot works; its names on the left are those of the others."""

import inspect
import re
import sys
from pathlib import Path

import pytest

import spigot
from spigot import RateLimited, RetryPolicy, enqueue, job_type
from spigot.jobs.bucket.config import BucketConfig
from spigot.runtime.settings import Settings, variable_name
from spigot.testing import inline
from tests.support.page_files import blocks_of, write_files

PAGE = (Path(__file__).parents[2] / "docs" / "moving.md").read_text()
PROGRAM = blocks_of(PAGE, "python")[1]
RIGHT = "\n".join(re.findall(r"^\|[^|]*\|([^|]*)\|$", PAGE, re.MULTILINE))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    assert write_files(PAGE, tmp_path) == ["tasks.py", "buckets.json"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("tasks", None)


def test_what_was_a_task_runs(folder):
    names = {}
    with inline():
        exec(PROGRAM, names)

    assert names["job"].result == "a summary of doc_1"


@pytest.mark.parametrize("call", sorted(set(re.findall(r"RetryPolicy\([^)]*=[^)]*\)", PAGE))))
def test_the_retries_can_be_written_so(call):
    assert eval(call, {"RetryPolicy": RetryPolicy}).retries == 3


@pytest.mark.parametrize(
    ("known", "pattern"),
    [
        (set(inspect.signature(enqueue).parameters), r"(\w+)=60`|(priority|idempotency_key)="),
        ({variable_name(field) for field in Settings.model_fields}, r"\b(SPIGOT_\w+)"),
        (set(BucketConfig.model_fields), r'"(rate|max_running)":|`(workers)`'),
        (set(dir(spigot)), r"\b(RateLimited|RetryPolicy|report_progress|enqueue)\("),
        ({"refresh", "wait", "cancel"} & set(dir(spigot.EnqueuedJob)), r"job\.(\w+)\("),
    ],
)
def test_the_names_on_the_right_are_ours(known, pattern):
    known = known | set(inspect.signature(job_type).parameters)
    named = {match[match.lastindex] for match in re.finditer(pattern, RIGHT)}

    assert named
    assert named <= known


def test_a_refusal_is_told_in_seconds():
    assert "raise RateLimited(30)" in RIGHT
    assert RateLimited(30).retry_after == 30
