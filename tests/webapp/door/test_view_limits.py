"""``@rate_limit`` on every kind of view, over HTTP."""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial, wraps

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View

from spigot.webapp.door.door import Door, rate_limit
from tests.support.fake_clock import FakeClock

ONE = {"limit": 1, "window": 60}
RULES = {"default": {"limit": 100, "window": 60}, "few": ONE, "other": ONE}


class AppWithLoop(Flask):
    """Runs coroutines without the extra package that Flask would want."""

    def async_to_sync(self, func):
        return lambda *args, **kwargs: asyncio.run(func(*args, **kwargs))


@pytest.fixture
def app(redis_url):
    app = AppWithLoop(__name__)
    Door(app, rules=RULES, redis_url=redis_url, clock=FakeClock(), deadline=5)
    return app


@pytest.fixture
def client(app, redis):
    return app.test_client()


def with_wraps(view):
    @wraps(view)
    def wrapped(*args, **kwargs):
        return view(*args, **kwargs)

    return wrapped


def without_wraps(view):
    def wrapped(*args, **kwargs):
        return view(*args, **kwargs)

    return wrapped


class AsObject:
    """A decorator that keeps the view in an attribute."""

    def __init__(self, view):
        self.view = view

    def __call__(self, *args, **kwargs):
        return self.view(*args, **kwargs)


def statuses(client, method="GET", path="/"):
    return [client.open(path, method=method).status_code for _ in range(2)]


def policies(client, method="GET", path="/"):
    answer = client.open(path, method=method)
    return [item.partition(";")[0] for item in answer.headers["RateLimit-Policy"].split(", ")]


LIMITED, FREE = [200, 429], [200, 200]


def test_on_a_method_of_a_method_view(app, client):
    class Documents(MethodView):
        @rate_limit("few")
        def post(self):
            return "made"

        def get(self):
            return "seen"

    app.add_url_rule("/", view_func=Documents.as_view("documents"))

    assert statuses(client, "GET") == FREE
    assert statuses(client, "POST") == LIMITED
    assert statuses(client, "HEAD") == FREE


def test_get_of_a_method_view_includes_head(app, client):
    class Documents(MethodView):
        @rate_limit("few")
        def get(self):
            return "seen"

    app.add_url_rule("/", view_func=Documents.as_view("documents"))

    assert client.head("/").status_code == 200
    assert client.get("/").status_code == 429


def test_head_of_its_own_has_limits_of_its_own(app, client):
    class Documents(MethodView):
        @rate_limit("few")
        def get(self):
            return "seen"

        def head(self):
            return ""

    app.add_url_rule("/", view_func=Documents.as_view("documents"))

    assert statuses(client, "HEAD") == FREE
    assert statuses(client, "GET") == LIMITED


def test_on_an_inherited_method(app, client):
    class Base(MethodView):
        @rate_limit("few")
        def get(self):
            return "seen"

    class Documents(Base):
        pass

    app.add_url_rule("/", view_func=Documents.as_view("documents"))

    assert statuses(client) == LIMITED


@pytest.mark.parametrize("once", [True, False])
def test_on_a_class_by_its_decorators(app, client, once):
    class Documents(MethodView):
        decorators = (rate_limit("few"), with_wraps)
        init_every_request = once

        def get(self):
            return "seen"

        @rate_limit("other")
        def post(self):
            return "made"

    app.add_url_rule("/", view_func=Documents.as_view("documents"))

    assert policies(client, "POST") == ['"few"', '"other"']
    assert statuses(client, "GET") == [429, 429]


@pytest.mark.parametrize("base", [View, MethodView])
def test_on_a_class_itself(app, client, base):
    @rate_limit("few")
    class Documents(base):
        def get(self):
            return "seen"

        def dispatch_request(self):
            return "seen"

    class Others(Documents):
        pass

    app.add_url_rule("/", view_func=Documents.as_view("documents"))
    app.add_url_rule("/others", view_func=Others.as_view("others"))

    assert statuses(client) == LIMITED
    assert policies(client, path="/others") == ['"few"']
    assert vars(base).get("decorators", []) == []


def test_on_what_as_view_returns(app, client):
    class Documents(MethodView):
        def get(self):
            return "seen"

    app.add_url_rule("/", view_func=rate_limit("few")(Documents.as_view("limited")))
    app.add_url_rule("/free", view_func=Documents.as_view("free"))

    assert statuses(client) == LIMITED
    assert statuses(client, path="/free") == FREE


def test_on_dispatch_request(app, client):
    class Documents(View):
        @rate_limit("few")
        def dispatch_request(self):
            return "seen"

    app.add_url_rule("/", view_func=Documents.as_view("documents"))

    assert statuses(client) == LIMITED


@pytest.mark.parametrize("decorator", [with_wraps, without_wraps, AsObject, partial])
def test_below_other_decorators(app, client, decorator):
    @rate_limit("few")
    def view():
        return "seen"

    app.add_url_rule("/", "view", decorator(view))

    assert statuses(client) == LIMITED


@pytest.mark.parametrize("decorator", [with_wraps, without_wraps])
def test_around_and_below_other_decorators(app, client, decorator):
    @app.get("/")
    @rate_limit("other")
    @decorator
    @rate_limit("few", cost=1)
    def view():
        return "seen"

    assert sorted(policies(client)) == ['"few"', '"other"']


@pytest.mark.parametrize("decorator", [with_wraps, without_wraps])
def test_on_a_method_below_other_decorators(app, client, decorator):
    class Documents(MethodView):
        @decorator
        @rate_limit("few")
        def post(self):
            return "made"

    app.add_url_rule("/", "documents", decorator(Documents.as_view("own")), methods=["POST"])

    assert policies(client, "POST") == ['"few"']


def test_a_view_that_calls_another_has_not_its_limits(app, client):
    @app.get("/few")
    @rate_limit("few")
    def few():
        return "few"

    @app.get("/")
    def view():
        return few()

    assert statuses(client) == FREE
    assert statuses(client, path="/few") == LIMITED


def test_on_coroutines(app, client):
    @app.get("/")
    @rate_limit("few")
    async def view():
        return "seen"

    class Documents(MethodView):
        @rate_limit("other")
        async def get(self):
            return "seen"

    app.add_url_rule("/documents", view_func=Documents.as_view("documents"))

    assert statuses(client) == LIMITED
    assert statuses(client, path="/documents") == LIMITED


def test_on_views_of_nested_blueprints(app, client):
    inner, outer = Blueprint("inner", __name__), Blueprint("outer", __name__)

    @inner.get("/function")
    @rate_limit("few")
    def view():
        return "seen"

    class Documents(MethodView):
        @rate_limit("other")
        def get(self):
            return "seen"

    inner.add_url_rule("/class", view_func=Documents.as_view("documents"))
    outer.register_blueprint(inner, url_prefix="/inner")
    app.register_blueprint(outer, url_prefix="/outer")

    assert statuses(client, path="/outer/inner/function") == LIMITED
    assert statuses(client, path="/outer/inner/class") == LIMITED


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_on_methods_that_take_no_instance(app, client, kind):
    class Documents(MethodView):
        @rate_limit("few")
        @kind
        def get(*_):
            return "seen"

    app.add_url_rule("/", view_func=Documents.as_view("documents"))

    assert statuses(client) == LIMITED


def test_on_bound_methods_and_objects(app, client):
    class Service:
        def view(self):
            return "seen"

    app.add_url_rule("/", "bound", rate_limit("few")(Service().view))
    app.add_url_rule("/object", "object", rate_limit("other")(AsObject(lambda: "seen")))

    assert statuses(client) == LIMITED
    assert statuses(client, path="/object") == LIMITED


def test_on_a_view_that_has_no_hash(app, client):
    @dataclass
    class Greeting:
        text: str

        def __call__(self):
            return self.text

    app.add_url_rule("/", "greeting", rate_limit("few")(Greeting("hello")))

    assert statuses(client) == LIMITED


def test_on_a_view_that_replaces_another(app, client):
    app.add_url_rule("/", "view", lambda: "free")
    assert statuses(client) == FREE

    app.view_functions["view"] = rate_limit("few")(lambda: "limited")

    assert statuses(client) == LIMITED


@pytest.mark.parametrize("wrong", [len, object, "view", type("NoView", (), {})])
def test_what_cannot_be_a_view_is_refused(wrong):
    with pytest.raises(TypeError, match="rate_limit"):
        rate_limit("few")(wrong)


def test_the_name_may_not_be_forgotten():
    with pytest.raises(TypeError, match="write @rate_limit"):

        @rate_limit
        def view():
            return "seen"


def test_what_is_no_view_is_told(app, client, caplog):
    @app.before_request
    @rate_limit("few")
    def load_user():
        return None

    class Documents(MethodView):
        def get(self):
            return self.find()

        @rate_limit("few")
        def find(self):
            return "seen"

    app.add_url_rule("/", view_func=Documents.as_view("documents"))
    with caplog.at_level(logging.ERROR):
        statuses(client)

    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(" does nothing")[0].rpartition(".")[2] for text in told] == [
        "load_user",
        "find",
    ]


def test_unknown_rules_of_methods_are_told(app, client, caplog):
    class Documents(MethodView):
        @rate_limit("nosuch")
        def post(self):
            return "made"

        @rate_limit("few", cost=2)
        def get(self):
            return "seen"

    app.add_url_rule("/", view_func=Documents.as_view("documents"))
    client.post("/")

    assert sorted(record.getMessage() for record in caplog.records) == [
        "view documents asks for rate limit 'nosuch': no rule has that name",
        "view documents costs more than rate limit 'few' has in all",
    ]


def test_what_the_rules_are_held_against_is_gathered_once_for_all_views(app, client):
    class CountedViews(dict):
        times_gathered = 0

        def values(self):
            self.times_gathered += 1
            return super().values()

    for number in range(50):
        app.add_url_rule(f"/{number}", f"view-{number}", view_func=lambda: "ok")
    app.view_functions = CountedViews(app.view_functions)

    client.get("/0")

    assert app.view_functions.times_gathered < 10  # not once for each view


PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
EVERYTHING = {"default": ONE, "all": {**ONE, "match": "*"}, "few": ONE}


def behind(redis_url, rules, **options):
    app = Flask(__name__)
    Door(app, rules=rules, redis_url=redis_url, clock=FakeClock(), deadline=5, **options)

    @app.post("/")
    @rate_limit("few")
    def view():
        return "made"

    @app.route("/own", methods=["OPTIONS"])
    @rate_limit("few")
    def own():
        return "mine"

    class Documents(MethodView):
        def options(self):
            return "mine"

    app.add_url_rule("/class", view_func=Documents.as_view("documents"))
    return app.test_client()


def test_preflights_that_flask_answers_are_free(redis, redis_url):
    client = behind(redis_url, EVERYTHING)

    for _ in range(3):
        answer = client.options("/", headers=PREFLIGHT)
        assert answer.status_code == 200
        assert "RateLimit" not in answer.headers
    assert client.post("/").status_code == 200


@pytest.mark.parametrize("path", ["/own", "/class"])
def test_a_view_with_options_of_its_own_is_counted(redis, redis_url, path):
    client = behind(redis_url, EVERYTHING)

    answers = [client.options(path, headers=PREFLIGHT) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]


@pytest.mark.parametrize("missing", PREFLIGHT)
def test_other_requests_for_options_are_counted(redis, redis_url, missing):
    client = behind(redis_url, EVERYTHING)
    headers = {name: value for name, value in PREFLIGHT.items() if name != missing}

    answers = [client.options("/", headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]


def test_preflights_of_unknown_paths_are_counted(redis, redis_url):
    client = behind(redis_url, EVERYTHING)

    answers = [client.options("/nowhere", headers=PREFLIGHT) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [404, 429]


@pytest.mark.parametrize("match", ["OPTIONS /", "options *"])
def test_a_rule_may_name_preflights(redis, redis_url, match):
    client = behind(redis_url, {**EVERYTHING, "pre": {"limit": 2, "window": 60, "match": match}})

    answers = [client.options("/", headers=PREFLIGHT) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"].startswith('"pre"')
    assert client.post("/").status_code == 200
