import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from flask import Flask
from pydantic import BaseModel, Field, create_model
from pydantic_core import core_schema
from werkzeug.routing import Rule

from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import MARK, job_type
from spigot.jobs.types.schema_example import name_in
from spigot.webapp.api_docs.docs_routes import ApiDocument
from spigot.webapp.api_docs.openapi import openapi_document
from spigot.webapp.app import create_app
from spigot.webapp.http.description import MARK as DESCRIBED
from tests.support.problem_check import is_problem

OURS = ("bucket", "docs", "job", "live", "metrics", "status")


class Address(BaseModel):
    city: str


class Parcel(BaseModel):
    """What is sent."""

    sender: str = Field(alias="from", examples=["Ada"])
    to: Address
    weight: float = 1


class Strange:
    """A type that only Python knows."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return core_schema.no_info_plain_validator_function(lambda value: value)


class Odd(BaseModel):
    thing: Strange


@job_type("send parcel/now", payload=Parcel)
def send(parcel: Parcel) -> None:
    """Send a parcel.

    Args:
        parcel: Which.
    """


@job_type("tidy")
def tidy(rooms: int = 1) -> None:
    """Tidy up."""


@job_type("odd", payload=Odd)
def odd(odd: Odd) -> None:
    """Do something odd."""


@pytest.fixture
def document(client) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json


@pytest.fixture
def with_types(app) -> dict[str, Any]:
    """The document of an app with the job types above."""
    return openapi_document(app, JobCatalog(getattr(f, MARK) for f in (send, tidy, odd)))


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def requests(document) -> dict[str, Any]:
    several = document["components"]["schemas"]["JobRequest"]["oneOf"]
    return {request["properties"]["type"]["const"]: request for request in several}


def test_every_route_of_ours_is_described(app: Flask):
    undescribed = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith(OURS)
        and not hasattr(app.view_functions[rule.endpoint], DESCRIBED)
    }

    assert undescribed == set()


def test_all_that_is_referred_to_is_there(with_types):
    for reference in references(with_types):
        place = with_types
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_operations_have_names_of_their_own_and_a_summary(document):
    operations = [o for methods in document["paths"].values() for o in methods.values()]

    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] for operation in operations)
    links = {
        link["operationId"]
        for operation in operations
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    }
    assert links == {"job.show", "job.events", "job.cancel"}


def test_a_job_is_described_as_it_is_shown(client, document):
    job = client.post("/jobs", json={"type": "add", "payload": {"x": 1}}).json

    schema = document["components"]["schemas"]["Job"]
    assert set(schema["properties"]) == set(schema["required"]) == set(job)
    assert (
        schema["description"]
        == "One job at one moment; the fields are those of the HTTP interface."
    )
    assert schema["properties"]["position"]["description"].startswith("1 for the next job")
    assert "cancelled" in schema["properties"]["status"]["enum"]


def test_what_the_admin_is_told_of_a_job_is_described_and_marked(redis, settings, document):
    client = create_app(settings(admin_password="s3cret")).test_client()
    job_id = client.post("/jobs", json={"type": "add", "payload": {"x": 1}}).json["id"]
    shown = client.get(f"/jobs/{job_id}").json
    told = client.get(f"/jobs/{job_id}", auth=("admin", "s3cret")).json

    answer = document["paths"]["/jobs/{job_id}"]["get"]["responses"]["200"]
    schemas = document["components"]["schemas"]
    schema = schemas[name_in(answer["content"]["application/json"]["schema"])]
    assert set(schema["properties"]) == set(told)
    assert set(schema["required"]) == set(shown)
    for name in set(told) - set(shown):
        assert schema["properties"][name]["description"].startswith("For the admin only: ")
    for name, part in schemas["Job"]["properties"].items():
        assert schema["properties"][name] == part


@pytest.mark.parametrize(("path", "name"), [("/buckets", "Buckets"), ("/api/status", "Status")])
def test_buckets_are_described_as_they_are_shown(client, document, path, name):
    shown = client.get(path).json
    schemas = document["components"]["schemas"]

    assert set(schemas[name]["properties"]) == set(shown)
    assert set(schemas["Bucket"]["required"]) == set(shown["buckets"][0])


def test_names_of_times_end_alike(document):
    times = {
        name
        for schema in document["components"]["schemas"].values()
        for name, field in schema.get("properties", {}).items()
        if '"date-time"' in json.dumps(field)
    }

    assert len(times) > 5
    assert {name for name in times if not name.endswith("_at")} == {"held_until"}


def test_a_problem_is_described_as_it_is_shown(client, document):
    problem = client.get("/jobs/nobody")

    assert is_problem(problem, 404)
    assert set(document["components"]["schemas"]["Problem"]["properties"]) == set(problem.json)


def test_what_is_asked_with_every_request_is_in_every_answer(document):
    for path, methods in document["paths"].items():
        limited = path not in ("/livez", "/readyz", "/api/status", "/metrics")
        for operation in methods.values():
            assert ("429" in operation["responses"]) == limited, path
            for answer in operation["responses"].values():
                assert ("RateLimit" in answer["headers"]) == limited, path
                assert "X-Request-ID" in answer["headers"]


def test_only_the_admin_may_change_a_bucket(document):
    methods = document["paths"]["/buckets/{name}"]

    assert methods["patch"]["security"] == [{"admin": []}]
    assert {"401", "404", "415", "422"} < set(methods["patch"]["responses"])
    assert "security" not in methods["get"]
    assert document["components"]["securitySchemes"]["admin"]["scheme"] == "basic"


def test_what_a_change_leaves_out_has_no_default(document):
    change = document["components"]["schemas"]["BucketChange"]

    assert "required" not in change
    assert not any("default" in field for field in change["properties"].values())
    assert change["properties"]["rate"]["type"] == "string"


def test_each_job_type_is_a_request_of_its_own(with_types):
    found = requests(with_types)

    assert list(found) == ["odd", "send parcel/now", "tidy"]
    send = found["send parcel/now"]
    assert send["properties"]["type"] == {"const": "send parcel/now"}
    assert send["description"] == "Send a parcel."
    assert send["required"] == ["type", "payload"]
    assert found["tidy"]["required"] == ["type"]


def test_a_payload_is_described_by_its_model(with_types):
    schemas = with_types["components"]["schemas"]
    reference = requests(with_types)["send parcel/now"]["properties"]["payload"]["$ref"]

    payload = schemas[reference.rpartition("/")[2]]

    assert set(payload["properties"]) == {"from", "to", "weight"}
    assert payload["properties"]["to"]["$ref"] == "#/components/schemas/Address"
    assert payload["required"] == ["from", "to"]


def test_a_payload_without_words_in_json_schema_is_any_object(with_types):
    payload = requests(with_types)["odd"]["properties"]["payload"]

    assert payload == {"additionalProperties": True, "type": "object"}


def test_the_example_of_a_request_is_taken_in(client, document):
    content = document["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]

    assert client.post("/jobs", json=content["example"]).status_code == 202


def test_examples_have_the_fields_of_their_schemas(document):
    schemas = document["components"]["schemas"]
    for path, method, status, name in [
        ("/jobs", "post", "202", "Job"),
        ("/jobs/{job_id}", "get", "200", "DetailedJob"),
        ("/buckets/{name}", "get", "200", "Bucket"),
    ]:
        answer = document["paths"][path][method]["responses"][status]
        example = answer["content"]["application/json"]["example"]
        assert set(example) == set(schemas[name]["properties"])


def test_an_app_without_job_types_is_described_too(app):
    document = openapi_document(app, JobCatalog())

    (request,) = document["components"]["schemas"]["JobRequest"]["oneOf"]
    assert request["properties"]["type"]["type"] == "string"


@pytest.mark.parametrize("name", ["Job", "JobState", "JobRequest", "Problem", "Bucket"])
def test_an_applications_model_may_have_any_name(own_app, name):
    model = create_model(name, here=(int, ...))

    @job_type("same", payload=model)
    def same(payload: model) -> None:
        pass

    catalog = JobCatalog([getattr(same, MARK)])
    own_app.extensions["api_document"] = ApiDocument(own_app, catalog)
    client = own_app.test_client()
    document = client.get("/openapi.json").json

    schemas = document["components"]["schemas"]
    shown = document["paths"]["/jobs/{job_id}"]["get"]["responses"]["200"]
    job = schemas[name_in(shown["content"]["application/json"]["schema"])]
    request = document["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]
    (wanted,) = schemas[name_in(request["schema"])]["oneOf"]
    payload = schemas[name_in(wanted["properties"]["payload"])]
    assert "estimated_start_at" in job["properties"]
    assert list(payload["properties"]) == ["here"]
    assert client.get("/docs").status_code == 200


def test_the_document_is_made_of_json_alone(with_types):
    assert json.loads(json.dumps(with_types)) == with_types


class TestRoutesOfApplications:
    @pytest.fixture
    def app(self, own_app):
        def put(shelf: int, book: str):
            """Put a book on a shelf.

            More.
            """

        own_app.add_url_rule("/shelves/<int:shelf>/<path:book>", "put", put, methods=["PUT", "GET"])
        own_app.add_url_rule("/copies/<uuid:copy>", "put", put, methods=["GET"])
        own_app.url_map.add(Rule("/old", redirect_to="/new", endpoint="old"))
        own_app.add_url_rule("/nameless", "nameless", partial(put, 1))
        return own_app

    def test_they_are_there_under_a_heading_of_their_own(self, document):
        shown = document["paths"]["/shelves/{shelf}/{book}"]["put"]

        assert shown["tags"] == ["Applications"]
        assert shown["summary"] == "Put a book on a shelf"
        assert [(p["name"], p["in"], p["schema"]) for p in shown["parameters"]] == [
            ("shelf", "path", {"type": "integer"}),
            ("book", "path", {"type": "string"}),
        ]
        assert set(shown["responses"]) == {"403", "429", "default"}
        assert {"name": "Applications"} in document["tags"]

    def test_those_of_a_blueprint_too(self, document):
        assert document["paths"]["/shout/{text}"]["post"]["tags"] == ["Applications"]

    def test_each_operation_has_a_name_of_its_own(self, document):
        operations = [o for methods in document["paths"].values() for o in methods.values()]
        names = [operation["operationId"] for operation in operations]

        assert len(set(names)) == len(names)
        assert {"put", "put.put", "put.get", "nameless"} <= set(names)

    def test_what_is_no_view_of_theirs_is_left_out(self, document):
        paths = " ".join(document["paths"])

        assert not re.search("static|/rq/|/old|/open/|/open |/logout", paths)

    def test_the_page_shows_them(self, client, document):
        page = client.get("/docs").text

        assert "<h2>Applications</h2>" in page
        assert "curl -i http://localhost/shelves/SHELF/BOOK -X PUT" in page


def test_without_an_application_there_is_no_heading_for_it(redis, settings):
    document = create_app(settings(apps=())).test_client().get("/openapi.json").json

    assert {"name": "Applications"} not in document["tags"]


def test_internal_job_types_are_left_out(app, monkeypatch):
    catalog = JobCatalog([replace(getattr(send, MARK), internal=True), getattr(tidy, MARK)])

    document = openapi_document(app, catalog)

    assert set(requests(document)) == {"tidy"}
    assert "parcel" not in json.dumps(document)
