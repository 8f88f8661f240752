"""Whether the dashboard fits together; ``test_prometheus.py`` asks for what it shows."""

import re
from itertools import combinations

import pytest
import yaml

from tests.support.grafana_dashboard import BUILT_IN, DASHBOARD, PANELS, VARIABLES, targets
from tests.support.metric_names import metrics
from tests.support.prometheus import DEPLOY

PROVISIONING = DEPLOY / "grafana" / "provisioning"
DATASOURCES = yaml.load(
    (PROVISIONING / "datasources" / "prometheus.yml").read_text(), yaml.CSafeLoader
)
SOURCE = DATASOURCES["datasources"][0]
SCRAPE = yaml.load((DEPLOY / "prometheus" / "prometheus.yml").read_text(), yaml.CSafeLoader)
COLUMNS = 24
PART = re.compile(r"_(bucket|sum|count)$")
"""What a histogram's series have after its name."""


def expressions() -> list[str]:
    return [target["expr"] for target in targets()]


def metrics_in(text: str) -> set[str]:
    names = re.findall(r"\bspigot_\w+", text)
    return {name if name in metrics() else PART.sub("", name) for name in names}


def test_its_panels_have_ids_of_their_own() -> None:
    ids = [panel["id"] for panel in PANELS]

    assert sorted(set(ids)) == sorted(ids)


def test_it_asks_the_provisioned_data_source_and_no_other() -> None:
    sources = [*targets(), *VARIABLES, *(panel for panel in PANELS if panel["type"] != "row")]

    assert SOURCE["type"] == "prometheus"
    for each in sources:
        assert each["datasource"] == {"type": SOURCE["type"], "uid": SOURCE["uid"]}


def test_the_data_source_knows_how_often_prometheus_scrapes() -> None:
    assert SOURCE["jsonData"]["timeInterval"] == SCRAPE["global"]["scrape_interval"]


def test_it_uses_the_variables_that_it_defines_and_no_others() -> None:
    used = {name for text in expressions() for name in re.findall(r"\$\w+", text)}

    assert used == {f"${variable['name']}" for variable in VARIABLES} | BUILT_IN.keys()


@pytest.mark.parametrize("expression", expressions())
def test_it_shows_only_metrics_that_there_are(expression: str) -> None:
    names = metrics_in(expression)

    assert names <= metrics()
    assert names or re.search(r"\b(ALERTS|up)\b", expression)


def test_it_shows_every_metric() -> None:
    assert metrics_in(" ".join(expressions())) == metrics()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_names_its_curves_apart(panel) -> None:
    marks = [target["refId"] for target in panel.get("targets", ())]

    assert len(set(marks)) == len(marks)
    assert panel["type"] == "row" or (marks and panel["description"])


def test_no_panel_lies_over_another() -> None:
    places = [panel["gridPos"] for panel in PANELS]

    for place in places:
        assert place["x"] + place["w"] <= COLUMNS
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_it_can_be_linked_to() -> None:
    assert DASHBOARD["uid"] == "spigot"
