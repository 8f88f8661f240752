"""Views of applications tell their clients of jobs in render of their own."""

import pytest

from spigot.webapp.routes.jobs import submit
from spigot.webapp.routes.one_job import show_job
from tests.support.problem_check import is_problem


def render(job):
    return {"ticket": job.id, "state": job.status.upper()}


@pytest.fixture
def client(own_app):
    """A client of an application that adds to the sample."""

    @own_app.post("/tickets/<text>")
    def create(text):
        return submit("shout", {"text": text}, render=render)

    @own_app.get("/tickets/<ticket>")
    def show(ticket):
        return show_job(ticket, render)

    return own_app.test_client()


def test_an_accepted_job_is_told_in_them(client):
    response = client.post("/tickets/a")

    assert response.status_code == 202
    assert response.json == {"ticket": response.json["ticket"], "state": "QUEUED"}
    assert response.headers["Location"] == f"/jobs/{response.json['ticket']}"


def test_a_repeated_request_is_told_of_the_first_job_in_them(client):
    headers = {"Idempotency-Key": "once"}
    first = client.post("/tickets/a", headers=headers)

    again = client.post("/tickets/a", headers=headers)

    assert (again.status_code, again.json) == (200, first.json)


def test_a_job_is_shown_in_them(client):
    ticket = client.post("/tickets/a").json["ticket"]

    assert client.get(f"/tickets/{ticket}").json == {"ticket": ticket, "state": "QUEUED"}


def test_refusals_stay_the_same(client):
    ticket = client.post("/tickets/a").json["ticket"]
    client.post("/tickets/b")

    assert is_problem(client.post("/tickets/c"), 503)
    assert is_problem(client.get("/tickets/unknown"), 404)
    assert is_problem(client.get(f"/tickets/{ticket}?wait=long"), 400)
