"""What ``docs/operations.md`` says, held against what there is."""

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from spigot.webapp.metrics.tap_metrics import COUNTERS, GAUGES, HISTOGRAMS
from spigot.webapp.metrics.web_metrics import WebMetrics

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())
ALERTS = [rule["alert"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]


def metrics() -> set[str]:
    """Return the names of all metrics, as they are shown."""
    registry = CollectorRegistry()
    WebMetrics(registry)
    counters = {f"{name}_total" for name in COUNTERS}
    own = {_shown_name(metric) for metric in registry.collect()}
    tap = {"spigot_server_up", "spigot_jobs_refused_total", *GAUGES, *HISTOGRAMS}
    return counters | own | tap


def _shown_name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def test_the_table_names_every_metric_and_no_other() -> None:
    rows = re.findall(r"^\| (`spigot_.*?) \| ", OPERATIONS, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]

    assert sorted(named) == sorted(metrics())


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_chapter_that_says_what_to_do(alert: str) -> None:
    assert f"\n### {alert}\n" in OPERATIONS


def test_no_chapter_is_about_an_alert_that_is_gone() -> None:
    chapters = re.findall(r"^### (Spigot\w+)$", OPERATIONS, re.MULTILINE)

    assert sorted(chapters) == sorted(ALERTS)


def test_the_text_mentions_only_metrics_that_there_are() -> None:
    mentioned = set(re.findall(r"`(spigot_[a-z_]+)`", OPERATIONS))

    assert mentioned <= metrics()
