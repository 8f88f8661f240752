"""The shipped rules in a real Prometheus that scrapes a running stack."""

import re
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.support.grafana_dashboard import filled_in, targets
from tests.support.incidents import Story, incidents
from tests.support.prometheus import SHIPPED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

RULES = (SHIPPED / "rules.yml").read_text()
UNIT_TESTS = (SHIPPED / "rules_test.yml").read_text()
ALERTS = re.findall(r"- alert: (\w+)", RULES)
SELECTOR = re.compile(r"\b(?:spigot_[a-z_]+|bucket:[a-z0-9_:]+|up)\b(?:\{[^}]*\})?")
FILTERS = (
    "bucket:spigot_starts_too_slow",
    "bucket:spigot_stalled",
    "bucket:spigot_places_taken",
)
"""Recorded only while something is wrong."""

MINUTE = 60
INCIDENTS = {
    "SpigotPlacesTaken stalling": "2 jobs run, which is all that its workers",
    "SpigotNoWorkers deserted": "has no worker that is alive",
    "SpigotDownstreamRefuses refusing": "its downstream says too many requests",
    "SpigotDoorFailsOpen default": "admits requests without its server",
}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with incidents(tmp_path_factory.mktemp("incidents"), set(INCIDENTS), 1.5 * MINUTE) as story:
        yield story


def promtool(*arguments: str) -> None:
    result = subprocess.run(["promtool", *arguments], cwd=SHIPPED, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def selectors() -> list[str]:
    rules = [
        rule for group in yaml.load(RULES, yaml.CSafeLoader)["groups"] for rule in group["rules"]
    ]
    found = {name for rule in rules for name in SELECTOR.findall(rule["expr"])}
    return sorted(found - set(FILTERS))


def test_promtool_understands_the_configuration() -> None:
    promtool("check", "config", "prometheus.yml")


def test_each_made_up_incident_raises_its_alerts_and_no_others() -> None:
    promtool("test", "rules", "rules_test.yml")


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_an_incident_in_which_it_fires(alert: str) -> None:
    assert f'alertname="{alert}"' in UNIT_TESTS


def test_nothing_fires_in_a_stack_that_is_well(story: Story) -> None:
    assert story.calm == set()


@pytest.mark.parametrize("alert", INCIDENTS)
def test_an_incident_is_seen_within_a_minute_with_its_reason(story: Story, alert: str) -> None:
    assert story.fired[alert] < MINUTE
    assert INCIDENTS[alert] in story.alerts[alert]["annotations"]["summary"]


def test_what_is_well_raises_no_alert_beside_them(story: Story) -> None:
    assert not {name for name in story.fired if name.endswith(" default") and "Door" not in name}


@pytest.mark.parametrize("expression", [target["expr"] for target in targets()])
def test_the_dashboard_has_something_to_show(story: Story, expression: str) -> None:
    samples = story.running.query(filled_in(expression))

    assert any(sample["value"][1] != "NaN" for sample in samples)


@pytest.mark.parametrize("selector", selectors())
def test_everything_that_the_rules_look_at_is_there(story: Story, selector: str) -> None:
    assert story.running.query(selector)
