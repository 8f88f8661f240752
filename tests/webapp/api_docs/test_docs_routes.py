import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from spigot import create_app
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import MARK, job_type
from spigot.webapp.api_docs.docs_routes import ApiDocument, describe_schema, limits_of

ATTACK = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Collects what a page loads and where it leads."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.addresses = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        self.ids.add(found.get("id"))
        self.addresses |= {found[name] for name in ("href", "src", "action") if name in found}
        assert not any(name.startswith("on") or name == "style" for name in found)


@pytest.fixture
def page(client):
    return client.get("/docs")


def test_the_page_needs_nothing_but_this_server(page):
    found = Page(page.text)

    assert page.mimetype == "text/html"
    assert not found.tags & {"script", "style", "iframe"}
    assert all(re.match(r"[/#]", address) for address in found.addresses)


def test_what_it_loads_is_there(client, page):
    for address in Page(page.text).addresses:
        if not address.startswith("#") and address not in ("/", "/docs/jobs"):
            with client.get(address) as answer:
                assert answer.status_code == 200, address


def test_its_links_lead_to_places_on_it(page):
    found = Page(page.text)

    assert {a[1:] for a in found.addresses if a.startswith("#")} <= found.ids


def test_it_shows_every_operation_and_job_type(client, page):
    document = client.get("/openapi.json").json
    ids = Page(page.text).ids

    for methods in document["paths"].values():
        assert {operation["operationId"] for operation in methods.values()} <= ids
    for name in ("add", "shout", "order"):
        assert f"<code>{name}</code>" in page.text


def test_its_commands_ask_this_server(client):
    text = client.get("/docs", base_url="http://spigot.example:8000").text

    assert (
        "curl -i http://spigot.example:8000/jobs -H &#39;Content-Type: application/json&#39;"
        in text
    )
    assert "-X PATCH -u admin" in text


def test_the_browser_is_told_to_run_no_foreign_script(page):
    policy = page.headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_what_an_application_says_of_itself_is_escaped(own_app):
    @job_type("attack")
    def attack(x: str = ATTACK) -> None:
        pass

    attack.__doc__ = ATTACK
    found = replace(getattr(attack, MARK), name=ATTACK)  # which ``job_type`` refuses
    own_app.extensions["api_document"] = ApiDocument(own_app, JobCatalog([found]))

    text = own_app.test_client().get("/docs").text

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in text


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"$ref": "#/components/schemas/Job"}, "Job"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"type": "array", "items": {"type": "number"}}, "list of number"),
        ({"enum": ["a", "b"]}, '"a" or "b"'),
        ({"const": "add"}, '"add"'),
        ({"type": "string", "format": "date-time"}, "time (RFC 3339)"),
        ({}, "any value"),
    ],
)
def test_schemas_are_put_into_words(schema, expected):
    assert describe_schema(schema) == expected


def test_bounds_are_put_into_words():
    schema = {"minimum": 0, "maximum": 60, "default": "x"}

    assert limits_of(schema) == 'at least 0, at most 60, "x" if it is left out'


def test_one_character_is_counted_as_one():
    limits = limits_of({"minLength": 1, "maxLength": 2000})

    assert limits == "at least 1 character, at most 2,000 characters"


class TestTryIt:
    @pytest.fixture
    def app(self, redis, settings):
        return create_app(settings())

    def test_a_form_sends_a_job_and_leads_to_its_page(self, client):
        assert 'name="json.x" ' in client.get("/docs").text

        answer = client.post("/docs/jobs", data={"type": "add", "json.x": "41"})

        assert answer.status_code == 303
        assert client.get(answer.location).json["type"] == "add"

    @pytest.mark.parametrize(
        "fields",
        [{"type": "nope"}, {"type": "add", "json.x": "no number"}, {"type": "add"},
         {"type": "add", "json.x": "<script>"}, {"type": "add", "json.x": "[" * 50_000}],
    )  # fmt: skip
    def test_what_is_wrong_is_told_on_a_page(self, client, fields):
        answer = client.post("/docs/jobs", data=fields)

        assert (answer.status_code, answer.mimetype) == (422, "text/html")
        assert "The job was not sent" in answer.text
        assert "<script>" not in answer.text

    def test_no_page_of_another_site_sends_one(self, client):
        fields, headers = {"type": "add", "json.x": "1"}, {"Sec-Fetch-Site": "cross-site"}

        assert client.post("/docs/jobs", data=fields, headers=headers).status_code == 403
