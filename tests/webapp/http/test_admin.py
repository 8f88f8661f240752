import base64

import pytest
from flask import Blueprint, g, request

from spigot import create_app
from spigot.webapp.door import wrong_passwords
from spigot.webapp.door.rate_limits.outcomes import WRONG_PASSWORD
from spigot.webapp.http.admin import is_admin, require_admin
from spigot.webapp.http.sessions import Sessions
from tests.support.problem_check import is_problem

PASSWORD = "pass:wörd"


@pytest.fixture(scope="module")
def apps():
    """By admin password; each is built once for all tests."""
    return {}


@pytest.fixture
def client_with(redis, settings, apps):
    """Return a function that returns a client of an app with that admin password."""

    def client_of_app(password):
        if password not in apps:
            apps[password] = app_with(settings(admin_password=password))
        return apps[password].test_client()

    return client_of_app


def app_with(settings):
    app = create_app(settings)
    closed = Blueprint("closed", __name__)
    closed.before_request(require_admin)
    closed.add_url_rule("/closed", view_func=lambda: {"done": True})
    app.register_blueprint(closed)
    app.add_url_rule("/open", view_func=lambda: {"admin": is_admin(request)})
    return app


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


class TestWrongPasswords:
    FORGED = basic(b"admin:guess")

    @pytest.fixture
    def get(self, redis, settings):
        """Return a function that asks for a path as a client of that address."""
        client = create_app(settings(admin_password=PASSWORD)).test_client()

        def get(path, headers, address="192.0.2.1"):
            return client.get(path, headers=headers, environ_base={"REMOTE_ADDR": address})

        return get

    def test_a_client_that_goes_on_guessing_is_told_to_wait(self, get):
        paths = ["/admin", "/", "/buckets", "/nothing", "/rq/"]
        for address, path in enumerate(paths, 1):
            asked = path, self.FORGED, f"192.0.2.{address}"
            answers = [get(*asked).status_code for _ in range(wrong_passwords.AT_ONCE)]

            refused = get(*asked)

            assert 429 not in answers
            assert is_problem(refused, 429)
            assert 1 <= int(refused.headers["Retry-After"]) <= wrong_passwords.SECONDS_EACH
            assert refused.json["violated-policies"] == [WRONG_PASSWORD]
            assert "wrong passwords" in refused.json["detail"]

    def test_nobody_is_locked_out_by_another_or_with_the_right_one(self, get):
        while (last := get("/admin", self.FORGED)).status_code == 401:
            pass
        assert last.status_code == 429

        assert get("/admin", RIGHT).status_code == 303
        assert get("/buckets", {}).status_code == 200
        assert is_problem(get("/admin", {}), 401)
        assert is_problem(get("/admin", self.FORGED, "192.0.2.2"), 401)
        assert get("/admin", self.FORGED).status_code == 429

    def test_a_password_that_is_not_ours_to_judge_is_no_guess(self, get):
        answers = [get("/buckets", basic(b"proxy:its own")).status_code for _ in range(30)]

        assert set(answers) == {200}


class TestLoginOfTheApplication:
    @pytest.fixture
    def client(self, redis, settings):
        app = create_app(
            settings(admin_password=PASSWORD),
            is_admin=lambda request: request.headers.get("X-User") == "boss",
        )
        app.add_url_rule("/open-to-all", view_func=lambda: {"admin": is_admin(request)})
        return app.test_client()

    def test_who_it_says_is_the_admin(self, client):
        boss = {"X-User": "boss"}

        assert client.get("/open-to-all", headers=boss).json == {"admin": True}
        assert client.get("/admin", headers=boss).status_code == 303
        assert client.get("/rq/", headers=boss).status_code == 200

    @pytest.mark.parametrize("headers", [{}, {"X-User": "clerk"}, RIGHT])
    def test_everybody_else_is_refused_and_not_asked_for_a_password(self, client, headers):
        for path in ("/admin", "/rq/", "/api/activity"):
            response = client.get(path, headers=headers)

            assert is_problem(response, 403)
            assert "WWW-Authenticate" not in response.headers
        assert "/admin" not in client.get("/").text

    def test_a_page_of_another_site_changes_nothing(self, client):
        headers = {"X-User": "boss", "Sec-Fetch-Site": "cross-site"}

        answer = client.patch("/buckets/default", json={"paused": True}, headers=headers)

        assert is_problem(answer, 403)

    def test_it_has_no_links(self, client, redis):
        link = Sessions(redis, PASSWORD).make_link()

        assert is_problem(client.get(f"/open/{link}"), 404)

    def test_it_may_come_to_another_answer_later_in_the_request(self, redis, settings):
        app = create_app(settings(), is_admin=lambda request: "user" in g)
        app.before_request(lambda: setattr(g, "user", "boss"))

        assert app.test_client().get("/admin").status_code == 303

    def test_a_fault_of_it_lets_nobody_in(self, redis, settings):
        app = create_app(settings(), is_admin=lambda request: request.no_such_thing)

        assert is_problem(app.test_client().get("/admin"), 500)

    def test_what_cannot_be_called_is_told_at_the_start(self, redis, settings):
        with pytest.raises(TypeError, match="is_admin must be a function"):
            create_app(settings(), is_admin=True)
