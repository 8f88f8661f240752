"""Jobs of plain RQ in a bucket with budgets: one warning, if they take nothing of one."""

from types import SimpleNamespace

import pytest

from spigot.jobs.bucket.config import BucketConfig
from spigot.worker.idle.plain_job_warning import PlainJobWarning


def claim(job_id, **fields):
    return SimpleNamespace(job_id=job_id, fields={name.encode(): b"" for name in fields})


def said_of(budgets, caplog):
    config = BucketConfig.model_validate({"budgets": budgets})
    warning = PlainJobWarning("default", {"default": config})
    warning.look_at(claim("ours", spigot_type=""))
    for job_id in ("first", "second"):
        warning.look_at(claim(job_id))
    return [record.getMessage() for record in caplog.records]


def test_the_first_plain_job_is_named_once(caplog):
    (line,) = said_of({"tokens": "9/m", "day": {"limit": "9/d", "cost": 1}}, caplog)

    assert line.startswith("job first of plain RQ takes nothing of tokens: set default_cost")


@pytest.mark.parametrize(
    "budgets",
    [{}, {"day": {"limit": "9/m", "cost": 1}}, {"t": {"limit": "9/m", "default_cost": 2}}],
)
def test_nothing_is_said_where_plain_jobs_cost_something(budgets, caplog):
    assert said_of(budgets, caplog) == []
