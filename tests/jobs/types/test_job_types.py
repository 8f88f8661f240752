import json
import math
from typing import Annotated

import pytest
from pydantic import BaseModel, PlainValidator

from spigot import InvalidPayload, job_type
from spigot.jobs.types.job_types import MARK, JobType
from tests.support.minimal_app import Order, add, order


def registered(function) -> JobType:
    return getattr(function, MARK)


def test_the_payload_is_validated_from_the_annotations():
    assert registered(add).bind(registered(add).accept({"x": "2"}).fields).call() == 3


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        ({}, ["x"]),
        ({"x": "many", "y": None}, ["x", "y"]),
        ({"x": 1, "z": 1}, ["z"]),
        ([1], ["payload"]),
        (None, ["payload"]),
        ("x", ["payload"]),
    ],
)
def test_an_invalid_payload_names_each_wrong_field(payload, fields):
    with pytest.raises(InvalidPayload, match=f"payload of job type 'add': {fields[0]}: ") as raised:
        registered(add).accept(payload)

    assert [error["field"] for error in raised.value.errors] == fields
    assert all(error["problem"] for error in raised.value.errors)


def test_a_nested_field_is_named_by_its_path():
    @job_type("nested")
    def nested(orders: list[Order]) -> None: ...

    with pytest.raises(InvalidPayload) as raised:
        registered(nested).accept({"orders": [{"from": "a"}, {"from": "b", "amount": "much"}]})

    assert [error["field"] for error in raised.value.errors] == ["orders.1.amount"]


def test_running_calls_the_function_with_the_fields():
    assert registered(add).bind({"x": 2, "y": 3}).call() == 5


def test_a_model_is_given_whole_and_survives_its_way_through_json():
    payload = registered(order).accept({"from": "Ada", "amount": 2.5}).fields

    assert registered(order).bind(json.loads(json.dumps(payload))).call() == "Ada 2.5"


def test_a_model_may_be_given_as_fields():
    class Pair(BaseModel):
        left: int
        right: int = 2

    @job_type("pair", payload=Pair)
    def pair(left: int, right: int) -> int:
        return left * right

    assert registered(pair).bind(registered(pair).accept({"left": 4}).fields).call() == 8


def test_the_function_stays_what_it_was():
    assert add(1, 2) == 3


def test_only_the_named_fields_are_logged():
    assert registered(add).accept({"x": 1, "y": 2}).logged == {"x": 1}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_cannot_carry_is_invalid(value):
    with pytest.raises(InvalidPayload, match="payload: cannot be written as JSON"):
        registered(order).accept({"from": "Ada", "amount": value})


def test_half_a_surrogate_pair_is_invalid():
    with pytest.raises(InvalidPayload, match="payload: cannot be written as JSON"):
        registered(order).accept({"from": "\ud800"})


def test_an_object_that_json_cannot_carry_is_invalid():
    @job_type("anything")
    def anything(value: object) -> None: ...

    with pytest.raises(InvalidPayload, match="payload: cannot be written as JSON"):
        registered(anything).accept({"value": object()})


def test_a_parameter_without_annotation_is_refused():
    with pytest.raises(ValueError, match="job type 'bare': parameter 'x' has no annotation"):

        @job_type("bare")
        def bare(x): ...


def test_a_variable_parameter_is_refused():
    with pytest.raises(
        ValueError, match=r"job type 'open': \*\*options says nothing of the payload"
    ):

        @job_type("open")
        def open_(**options: int) -> None: ...


def test_a_type_that_only_its_validator_knows_is_taken():
    @job_type("plain")
    def plain(x: Annotated[object, PlainValidator(int)]) -> int:
        return x + 1

    assert registered(plain).bind(registered(plain).accept({"x": "7"}).fields).call() == 8


def test_logging_a_field_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"job type 'typo': log names no field .*'adress'"):

        @job_type("typo", log=["adress"])
        def typo(address: str) -> None: ...


def test_a_timeout_below_a_second_is_refused():
    with pytest.raises(ValueError, match="job type 'hasty': timeout must be a whole number"):
        job_type("hasty", timeout=0)
