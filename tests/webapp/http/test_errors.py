import pytest
from redis.exceptions import ConnectionError, ResponseError

from tests.support.problem_check import is_problem

ADD = {"type": "add", "payload": {"x": 1}}


@pytest.mark.parametrize("path", ["/nowhere", "/jobs/", "/api", "/%00", "/static/../x"])
def test_an_unknown_path_is_404(client, path):
    assert is_problem(client.get(path), 404)


def test_another_method_is_405_and_says_what_is_allowed(client):
    response = client.post("/api/status")

    assert is_problem(response, 405)
    assert "GET" in response.headers["Allow"]


def test_an_unexpected_error_is_logged_and_nothing_of_it_leaves(client, caplog):
    response = client.get("/broken")

    assert is_problem(response, 500)
    assert "s3cret" not in response.text
    assert "Traceback" not in response.text
    assert "KeyError: 's3cret'" in caplog.text


@pytest.fixture
def fail(app, monkeypatch):
    """Return a function that lets the next use of the server raise an error."""

    def fail_with(error):
        def raise_error(*args, **options):
            raise error

        pool = app.extensions["redis"].connection_pool
        monkeypatch.setattr(pool, "get_connection", raise_error)

    return fail_with


def test_a_server_that_is_away_is_503_with_the_time_to_come_back(client, fail):
    fail(ConnectionError("Error 111 connecting to 10.1.2.3:6379"))

    response = client.post("/jobs", json=ADD)

    assert is_problem(response, 503)
    assert int(response.headers["Retry-After"]) >= 1
    assert "10.1.2.3" not in response.text


def test_a_server_that_is_full_is_503(client, fail):
    fail(ResponseError("OOM command not allowed when used memory > 'maxmemory'."))

    assert is_problem(client.post("/jobs", json=ADD), 503)


def test_a_wrong_command_is_500(client, fail, caplog):
    fail(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))

    assert is_problem(client.post("/jobs", json=ADD), 500)
    assert "WRONGTYPE" in caplog.text
