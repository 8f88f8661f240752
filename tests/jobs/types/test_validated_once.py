"""What a client sends reaches the function through one validation, whatever that makes of it."""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from typing_extensions import TypedDict

from spigot import InvalidPayload, job_type
from spigot.jobs.types.job_types import MARK, JobType

Item = TypeVar("Item")
Cents = Annotated[int, AfterValidator(lambda value: value * 100)]


def as_type(function, **options) -> JobType:
    return getattr(job_type("tried", **options)(function), MARK)


def through_redis(tried: JobType, payload: Any) -> Any:
    """Call the function as a worker does, with what was kept for it."""
    kept = json.loads(json.dumps(tried.accept(payload).fields))
    return tried.bind(kept).call()


class Color(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: Cents = 0


class Place(TypedDict):
    name: str
    at: Point


class Pair(NamedTuple):
    left: int
    right: int


class Priced(BaseModel):
    """Changes, adds, leaves out and renames, as real models do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cents: Cents
    tags: list[str] = []
    options: Json[dict[str, int]] = {}
    note: str = Field("", exclude=True)
    size: int = Field(1, serialization_alias="Size")
    color: str = Field("blue", validation_alias=AliasChoices("color", "colour"))
    city: str = Field("", validation_alias=AliasPath("address", "city"))
    when: date = date(2026, 1, 1)
    _seen: list[int] = PrivateAttr(default_factory=list)

    @field_validator("tags", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        if not isinstance(value, str):
            raise ValueError("write the tags as one text")
        return value.split(",")

    @field_validator("note")
    @classmethod
    def strip(cls, value: str) -> str:
        return value.removeprefix("-")

    @field_serializer("when")
    def in_words(self, value: date) -> str:
        return f"{value:%d %B %Y}"

    @computed_field
    @property
    def euros(self) -> float:
        return self.cents / 100

    def model_post_init(self, context: object) -> None:
        self._seen.append(self.cents)


class Sealed(BaseModel):
    """Writes something else than it reads."""

    content: str

    @model_validator(mode="before")
    @classmethod
    def unseal(cls, value: Any) -> Any:
        return {"content": value["sealed"][::-1]}

    @model_serializer
    def seal(self) -> str:
        return "sealed"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Cents = 9


class Dog(BaseModel):
    kind: Literal["dog"]


class Page(BaseModel, Generic[Item]):
    items: list[Item]


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class AnyPet(RootModel[Pet]):
    pass


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    at: datetime
    key: uuid.UUID
    pair: tuple[int, int]
    many: set[int]
    data: bytes


def test_a_validator_that_changes_the_value_runs_once():
    assert through_redis(as_type(lambda_of(cents=Cents)), {"cents": 5}) == {"cents": 500}


def test_a_model_with_everything_reaches_the_function_as_the_door_read_it():
    def take(priced: Priced) -> Priced:
        return priced

    sent = {
        "cents": 5,
        "tags": "a,b",
        "options": '{"n": 1}',
        "note": "--x",
        "size": 2,
        "colour": "red",
        "address": {"city": "Ulm"},
        "when": "2026-02-03",
    }
    got = through_redis(as_type(take, payload=Priced), sent)

    assert got == Priced.model_validate(sent)
    assert (got.cents, got.tags, got.options, got.note) == (500, ["a", "b"], {"n": 1}, "-x")
    assert (got.color, got.city, got.when, got._seen) == ("red", "Ulm", date(2026, 2, 3), [500])


def test_the_fields_of_such_a_model_may_be_passed_one_by_one():
    def take(cents, /, tags, *, options, **others):
        return cents, tags, options, others["color"], "euros" in others

    sent = {"cents": 5, "tags": "a", "options": "{}", "colour": "red"}

    assert through_redis(as_type(take, payload=Priced), sent) == (500, ["a"], {}, "red", False)


@pytest.mark.parametrize(
    ("annotation", "sent", "got"),
    [
        (datetime, "2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        (Decimal, "1.10", Decimal("1.10")),
        (uuid.UUID, str(uuid.UUID(int=7)), uuid.UUID(int=7)),
        (bytes, "ä", "ä".encode()),
        (Color, "red", Color.RED),
        (Path, "/a/b", Path("/a/b")),
        (set[int], [1, 1, 2], {1, 2}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (Pair, [1, 2], Pair(1, 2)),
        (Point, {"x": 1, "y": 2}, Point(1, 200)),
        (Place, {"name": "a", "at": {"x": 1, "y": 2}}, {"name": "a", "at": Point(1, 200)}),
        (Page[Cents], {"items": [1, 2]}, Page[Cents](items=[1, 2])),
        (Pet, {"kind": "cat", "lives": 7}, Cat(kind="cat", lives=7)),
        (list[Pet], [{"kind": "dog"}], [Dog(kind="dog")]),
        (Json[list[Cents]], "[1]", [100]),
        (Sealed, {"sealed": "ab"}, Sealed.model_construct(content="ba")),
        (Annotated[list[str], BeforeValidator(str.split)], "a b", ["a", "b"]),
        (float, "inf", float("inf")),
    ],
)
def test_each_kind_of_field_is_validated_once(annotation, sent, got):
    assert through_redis(as_type(lambda_of(value=annotation)), {"value": sent}) == {"value": got}


def test_a_strict_model_reads_json():
    def take(strict: Strict) -> Strict:
        return strict

    sent = {
        "at": "2026-01-01T00:00:00Z",
        "key": str(uuid.UUID(int=7)),
        "pair": [1, 2],
        "many": [3],
        "data": "x",
    }

    assert through_redis(as_type(take, payload=Strict), sent).pair == (1, 2)


def test_a_payload_may_be_a_union():
    def take(pet: AnyPet) -> object:
        return pet.root

    assert through_redis(as_type(take, payload=AnyPet), {"kind": "dog"}) == Dog(kind="dog")


def test_a_secret_reaches_the_function_in_plain():
    def take(password: SecretStr, others: list[SecretStr]) -> list[str]:
        return [secret.get_secret_value() for secret in (password, *others)]

    sent = {"password": "hunter2", "others": ["a", "b"]}

    assert through_redis(as_type(take), sent) == ["hunter2", "a", "b"]
    kept_secrets = {"password": SecretStr("hunter2"), "others": [SecretStr("a"), "b"]}
    assert through_redis(as_type(take), kept_secrets) == ["hunter2", "a", "b"]


def test_parameters_are_passed_as_they_can_be():
    def take(first: int, /, second: int, *, third: Cents = 3, other: object = print) -> tuple:
        return first, second, third, other

    assert through_redis(as_type(take), {"first": 1, "second": 2}) == (1, 2, 3, print)


@pytest.mark.parametrize("name", ["json", "copy", "model_dump", "model_id", "schema", "cls"])
def test_a_parameter_may_have_any_name(name):
    scope: dict[str, Any] = {}
    exec(f"def take({name}: int) -> int:\n    return {name} + 1", scope)

    assert through_redis(as_type(scope["take"]), {name: 1}) == 2


def test_python_values_are_taken_as_a_client_would_send_them():
    def take(at: datetime, cents: Cents, point: Point, keys: set[uuid.UUID]) -> tuple:
        return at, cents, point, keys

    at, keys = datetime(2026, 1, 1, tzinfo=UTC), {uuid.UUID(int=7)}
    sent = {"at": at, "cents": 5, "point": {"x": 1}, "keys": keys}

    assert through_redis(as_type(take), sent) == (at, 500, Point(1), keys)


def test_a_model_that_reads_back_the_same_is_taken():
    class Order(BaseModel):
        sender: str = Field(alias="from")
        at: datetime
        key: SecretStr = SecretStr("k")

    def take(order: Order) -> Order:
        return order

    order = Order(**{"from": "Ada", "at": "2026-01-01T00:00:00Z", "key": "hunter2"})

    assert through_redis(as_type(take, payload=Order), order) == order


def test_a_model_that_its_validators_would_change_again_is_refused():
    def take(priced: Priced) -> None: ...

    with pytest.raises(InvalidPayload, match="give a dict of what a client would send"):
        as_type(take, payload=Priced).accept(Priced(cents=5, tags="a"))


def test_the_default_of_a_factory_is_made_once_for_all_attempts():
    class Ordered(BaseModel):
        key: uuid.UUID = Field(default_factory=uuid.uuid4)
        at: datetime = Field(default_factory=partial(datetime.now, UTC), validation_alias="At")

    def take(ordered: Ordered) -> Ordered:
        return ordered

    tried = as_type(take, payload=Ordered, log=["key"])
    kept = tried.accept({})

    assert tried.bind(kept.fields).call() == tried.bind(kept.fields).call()
    assert kept.logged == {"key": str(tried.bind(kept.fields).call().key)}


def test_a_default_that_validators_would_change_is_made_for_each_attempt():
    def take(cents: Annotated[Cents, Field(default_factory=lambda: 5)]) -> int:
        return cents

    assert through_redis(as_type(take), {}) == 5


def test_the_result_log_shows_what_the_function_gets():
    def take(cents: Cents, when: date, limit: float, kept: Annotated[str, Field(exclude=True)]):
        return None

    tried = as_type(take, log=["cents", "when", "limit", "kept"])
    logged = tried.accept({"cents": 5, "when": "2026-01-01", "limit": "inf", "kept": "a"}).logged

    assert logged == {"cents": 500, "when": "2026-01-01", "limit": "Infinity", "kept": "a"}


def test_what_a_version_before_kept_still_runs():
    def take(x: int, y: int = 1) -> int:
        return x + y

    assert as_type(take).bind({"x": 2, "y": 1}).call() == 3


def test_a_payload_that_no_longer_fits_says_so_without_its_values():
    def take(password: Annotated[str, Field(max_length=3)]) -> None: ...

    with pytest.raises(InvalidPayload, match="password: String should have at most 3") as raised:
        as_type(take).bind({"password": "hunter2"})

    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("payload", [None, [1], "x", [["x", 1]]])
def test_a_payload_is_an_object(payload):
    with pytest.raises(InvalidPayload, match="payload: Input should be an object"):
        as_type(lambda_of(x=int)).accept(payload)


def test_a_payload_that_holds_itself_or_is_too_deep_is_refused():
    endless: dict[str, Any] = {}
    endless["value"] = endless
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    tried = as_type(lambda_of(value=Any))

    for payload in (endless, {"value": deep}, {"value": [object(), deep]}):
        with pytest.raises(InvalidPayload, match="payload"):
            tried.accept(payload)


def lambda_of(**annotations: Any) -> Any:
    """Return a function with these parameters, that returns what it was given."""

    def take(**given: Any) -> dict[str, Any]:
        return given

    scope = {"take": take} | annotations
    names = list(annotations)
    text = ", ".join(f"{name}: 0" for name in names)
    exec(f"def told({text}): return take({', '.join(f'{n}={n}' for n in names)})", scope)
    scope["told"].__annotations__ = annotations
    return scope["told"]
