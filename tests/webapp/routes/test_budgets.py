"""Budgets over HTTP: what a job costs at the door, what a bucket shows, what the admin changes."""

import json
import re

import pytest

from spigot import create_app
from spigot.runtime.errors import OperatorError
from tests.support.problem_check import is_problem

APP = """
from spigot import job_type

@job_type("summary", bucket="openai", cost=lambda text, most: {"tokens": len(text) // 4 + most})
def summarise(text: str, most: int = 10) -> str:
    return text

@job_type("divides", bucket="openai", cost=lambda n: 1 / n)
def divide(n: float, secret: str = "") -> float:
    return n

@job_type("free", bucket="openai", cost=0)
def free() -> None: ...
"""
BUCKETS = {
    "openai": {
        "rate": "60/m",
        "budgets": {
            "tokens": {"limit": "600/m", "burst": 100, "counted": "at_start"},
            "day": {"limit": "1000/d", "window": "1d", "cost": 1},
        },
    }
}
ADMIN = ("admin", "s3cret")


@pytest.fixture
def make_app(redis, settings, tmp_path, monkeypatch):
    """Return a function that builds an app of these job types and buckets."""

    def make(source=APP, buckets=BUCKETS):
        name = f"costed_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        own = settings(apps=(name,), admin_password="s3cret")
        own.buckets.write_text(json.dumps(buckets))
        return create_app(own)

    return make


@pytest.fixture
def client(make_app):
    return make_app().test_client()


def post(client, type, payload):
    return client.post("/jobs", json={"type": type, "payload": payload})


def test_a_cost_gets_the_arguments_with_defaults_filled_in(client):
    answer = post(client, "summary", {"text": "x" * 80})

    assert answer.status_code == 202
    assert "cost" not in answer.json
    job = client.get(f"/jobs/{answer.json['id']}", auth=ADMIN).json
    assert job["cost"] == {"tokens": 30, "day": 1}
    assert job["cost_actual"] is None


def test_a_cost_beyond_the_burst_names_the_largest_that_fits(client):
    answer = post(client, "summary", {"text": "", "most": 101})

    assert is_problem(answer, 422)
    assert answer.json["type"] == "urn:spigot:problem:cost-exceeds-burst"
    assert (answer.json["cost"], answer.json["largest_cost"]) == (101, 100)


@pytest.mark.parametrize(
    ("n", "problem"),
    [
        (0, "cannot be reckoned: ZeroDivisionError: float division by zero"),
        (-2, "of 'tokens' is -0.5, which is negative"),
    ],
)
def test_a_cost_that_cannot_be_used_is_a_problem(client, n, problem):
    answer = post(client, "divides", {"n": n})

    assert is_problem(answer, 422)
    assert answer.json["type"] == "urn:spigot:problem:invalid-cost"
    assert answer.json["detail"] == f"cost of job type 'divides' {problem}"


def test_a_client_cannot_set_a_cost(client):
    answer = client.post("/jobs", json={"type": "free", "payload": {}, "cost": 0})

    assert answer.status_code == 422


@pytest.mark.parametrize("cost", ["", ", cost={'tokenz': 1}", ", cost={'day': 1}"])
def test_the_start_stops_where_a_cost_is_missing_or_unknown(make_app, cost):
    source = f"""
from spigot import job_type

@job_type("work", bucket="openai"{cost})
def work() -> None: ...
"""
    with pytest.raises(OperatorError, match="cost of job type 'work'"):
        make_app(source)


def test_a_bucket_shows_its_budgets(client):
    post(client, "summary", {"text": ""})

    shown = client.get("/buckets/openai").json["budgets"]["tokens"]

    assert {name: shown[name] for name in ("limit", "burst", "level", "held", "counted")} == {
        "limit": "600/m",
        "burst": 100,
        "level": 0,
        "held": 0,
        "counted": "at_start",
    }


def test_a_changed_limit_keeps_the_burst(client):
    answer = client.patch("/buckets/openai", json={"budgets": {"tokens": "900/m"}}, auth=ADMIN)

    tokens = answer.json["budgets"]["tokens"]
    assert (answer.status_code, tokens["limit"], tokens["burst"]) == (200, "900/m", 100)
    assert answer.json["sources"]["budgets"] == "operator"


def press(client, **fields):
    page = client.get("/buckets/openai", auth=ADMIN, headers={"Accept": "text/html"}).text
    token = re.search('name="form_token" value="([0-9a-f]+)"', page)[1]
    data = {"form_token": token, "action": "budget", **fields}
    return client.post("/buckets/openai/form", data=data, auth=ADMIN)


def test_the_page_shows_budgets_and_a_button_changes_one(client):
    answer = press(client, budget="tokens", value="900/m", burst="200")

    assert (answer.status_code, answer.location) == (303, "/buckets/openai?did=budget")
    page = client.get(answer.location, auth=ADMIN, headers={"Accept": "text/html"}).text
    assert "900/m, burst 200; spent when a job starts" in page
    assert "0 spent, 0 held, 200 of 200 free" in page
    assert "is set to a new budget" in page
    assert "set the budget tokens to 900/m burst 200, was 600/m burst 100" in page
    assert press(client, budget="tokens", value="800/m", burst="").status_code == 303
    tokens = client.get("/buckets/openai").json["budgets"]["tokens"]
    assert (tokens["limit"], tokens["burst"]) == ("800/m", 200)


def test_a_stranger_sees_no_budget_on_the_page(client):
    page = client.get("/buckets/openai", headers={"Accept": "text/html"}).text

    assert "600/m" not in page
    assert "tokens" not in page


@pytest.mark.parametrize(
    "fields",
    [
        {"budget": "tokens", "value": ""},
        {"budget": "tokens", "value": "much"},
        {"budget": "tokens", "value": "9/m", "burst": "0"},
        {"budget": "other", "value": "9/m"},
        {"value": "9/m"},
    ],
)
def test_a_form_that_is_no_change_of_a_budget_is_refused(client, fields):
    assert is_problem(press(client, **fields), 422)
    assert client.get("/buckets/openai").json["sources"]["budgets"] == "file"


@pytest.mark.parametrize(
    "budgets",
    [
        {"other": "9/m"},
        {"tokens": "9"},
        {"tokens": {}},
        {"tokens": {"cost": 1}},
        {"day": "9/d"},
        [],
    ],
)
def test_what_is_no_change_of_a_budget_is_refused(client, budgets):
    answer = client.patch("/buckets/openai", json={"budgets": budgets}, auth=ADMIN)

    assert is_problem(answer, 422)
    assert client.get("/buckets/openai").json["sources"]["budgets"] == "file"
