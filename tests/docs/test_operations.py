"""What ``docs/operations.md`` says, held against what there is."""

import re
from pathlib import Path

import pytest
import yaml

from tests.support.metric_names import metrics

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
RULES = yaml.load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text(), yaml.CSafeLoader)
ALERTS = [rule["alert"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]


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
