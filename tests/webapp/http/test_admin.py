import base64

import pytest
from flask import Blueprint, request

from spigot import create_app
from spigot.webapp.http.admin import is_admin, require_admin
from tests.support.problem_check import is_problem

PASSWORD = "pass:wörd"


@pytest.fixture
def client_with(server, settings):
    """Return a function that builds a client of an app with that admin password."""

    def client_of_app(password):
        app = create_app(settings(admin_password=password))
        closed = Blueprint("closed", __name__)
        closed.before_request(require_admin)
        closed.add_url_rule("/closed", view_func=lambda: {"done": True})
        app.register_blueprint(closed)
        app.add_url_rule("/open", view_func=lambda: {"admin": is_admin(request)})
        return app.test_client()

    return client_of_app


def basic(text, scheme="Basic"):
    return {"Authorization": f"{scheme} {base64.b64encode(text).decode()}"}


RIGHT = basic(f"admin:{PASSWORD}".encode())
WRONG = [
    {},
    basic(b"admin:wrong"),
    basic(b"admin:"),
    basic(b"admin"),
    basic(b""),
    basic(f"Admin:{PASSWORD}".encode()),
    basic(f":{PASSWORD}".encode()),
    basic(f"root:{PASSWORD}".encode()),
    basic(f"admin:{PASSWORD} ".encode()),
    basic(f"admin:{PASSWORD}".encode("latin-1")),
    basic(b"\xff\xfe:\xff"),
    {"Authorization": "Basic"},
    {"Authorization": "Basic !!!"},
    {"Authorization": f"Basic admin:{PASSWORD.encode().hex()}"},
    {"Authorization": "Bearer abc"},
    {"Authorization": "Digest username=admin"},
]


def test_the_admin_is_let_in(client_with):
    response = client_with(PASSWORD).get("/closed", headers=RIGHT)

    assert (response.status_code, response.json) == (200, {"done": True})


@pytest.mark.parametrize("headers", WRONG, ids=range(len(WRONG)))
def test_everybody_else_is_asked_for_the_password(client_with, headers):
    response = client_with(PASSWORD).get("/closed", headers=headers)

    assert is_problem(response, 401)
    assert response.headers["WWW-Authenticate"] == 'Basic realm="Spigot admin", charset=UTF-8'


@pytest.mark.parametrize(
    "headers", [{}, RIGHT, basic(b"admin:"), basic(b"admin:None"), basic(b":")]
)
def test_without_a_password_admin_routes_do_not_exist(client_with, headers):
    client = client_with(None)

    assert is_problem(client.get("/closed", headers=headers), 404)
    assert client.get("/closed", headers=headers).json == client.get("/nothing").json


@pytest.mark.parametrize(
    ("password", "headers", "expected"),
    [(PASSWORD, RIGHT, True), (PASSWORD, {}, False), (None, RIGHT, False)],
)
def test_open_routes_know_the_admin(client_with, password, headers, expected):
    assert client_with(password).get("/open", headers=headers).json == {"admin": expected}
