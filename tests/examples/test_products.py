"""Products: kept in the server, validated, and one action with a limit of its own."""

from collections import Counter

import pytest

from tests.support.spigot_up import spigot_up
from tests.support.visitors import Visitor, at_once

PEN = {"name": "pen", "description": "writes", "price": 1.5}


def test_keeps_a_product_under_an_id(visitor):
    answer = visitor.post("/api/products", PEN)

    assert answer.status == 201
    assert answer.json == {"id": answer.json["id"], **PEN}
    assert answer.json in visitor.get("/api/products").json["products"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": 5}, "name"),
        ({"price": 0}, "price"),
        ({"price": -1}, "price"),
        ({"price": "1"}, "price"),
        ({"price": None}, "price"),
        ({"description": 5}, "description"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_refuses_a_product_and_names_the_field(visitor, change, field):
    before = visitor.get("/api/products").json

    answer = visitor.post("/api/products", {**PEN, **change})

    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert visitor.get("/api/products").json == before


def test_products_that_come_together_get_ids_of_their_own(visitor):
    before = len(visitor.get("/api/products").json["products"])

    answers = at_once(
        40, lambda number: visitor.post("/api/products", {**PEN, "price": number + 1})
    )

    kept = {answer.json["id"]: answer.json for answer in answers}
    assert sorted(kept) == list(range(before + 1, before + 41))
    assert visitor.get("/api/products").json["products"][before:] == [
        kept[id] for id in sorted(kept)
    ]


def test_the_protected_action_has_five_tokens_and_tells_what_is_left(visitor):
    answers = [visitor.post("/api/protected-action") for _ in range(6)]

    assert [answer.status for answer in answers] == [200] * 5 + [429]
    left = [answer.headers["X-RateLimit-Remaining"] for answer in answers]
    assert left == ["4", "3", "2", "1", "0", "0"]
    assert answers[0].headers["RateLimit-Policy"] == '"protected-action";q=5;w=50'
    refused = answers[-1]
    assert 1 <= int(refused.headers["Retry-After"]) <= 10
    assert refused.json["violated-policies"] == ["protected-action"]


def test_exactly_five_of_many_actions_that_come_together_are_done(visitor):
    answers = at_once(30, lambda _: visitor.post("/api/protected-action"))

    assert Counter(answer.status for answer in answers) == {200: 5, 429: 25}


def test_the_limit_of_the_action_does_not_limit_the_rest(visitor):
    for _ in range(6):
        visitor.post("/api/protected-action")

    assert visitor.get("/api/products").status == 200
    assert visitor.get("/api/status").json["status"] == "ok"


@pytest.mark.slow
def test_products_survive_a_restart(tmp_path):
    with spigot_up(tmp_path) as stack:
        Visitor(stack.url).post("/api/products", PEN)

    with spigot_up(tmp_path) as stack:
        assert Visitor(stack.url).get("/api/products").json == {"products": [{"id": 1, **PEN}]}
