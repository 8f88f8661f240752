"""Fields that nobody is shown, wherever a model hides them."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Generic, NamedTuple, NewType, TypeVar

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    Field,
    PlainValidator,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    model_validator,
)
from typing_extensions import TypedDict

from spigot import job_type
from spigot.jobs.types.hidden_fields import (
    MASK,
    hidden_values,
    masked,
    named_paths,
    secret_paths,
    without,
)
from spigot.jobs.types.job_types import registered_type

Item = TypeVar("Item")
Password = NewType("Password", SecretStr)


class Login(BaseModel):
    user: str
    password: SecretStr
    again: "Login | None" = None


class Token(RootModel[SecretStr]):
    pass


class Page(BaseModel, Generic[Item]):
    items: list[Item]


class Typed(TypedDict):
    key: SecretStr


@dataclass
class Kept:
    key: SecretBytes


class Everything(BaseModel):
    odd: Annotated[Any, PlainValidator(lambda value: value)] = None
    plain: str = ""
    login: Login | None = None
    logins: list[Login] = []
    by_name: dict[str, Login] = {}
    codes: list[SecretStr] = []
    env: dict[str, SecretStr] = {}
    number: Secret[int] | None = None
    token: Token | None = None
    page: Page[SecretStr] | None = None
    typed: Typed | None = None
    kept: Kept | None = None
    new: Password | None = None
    aliased: SecretStr = Field(SecretStr(""), alias="Aliased")
    chosen: SecretStr = Field(SecretStr(""), validation_alias=AliasChoices("one", "two"))
    deep: SecretStr = Field(SecretStr(""), validation_alias=AliasPath("box", "key"))


SENT = {
    "plain": "shown",
    "login": {
        "user": "ada",
        "password": "s3cret-1",
        "again": {"user": "b", "password": "s3cret-2"},
    },
    "logins": [{"user": "ada", "password": "s3cret-3"}],
    "by_name": {"x": {"user": "ada", "password": "s3cret-4"}},
    "codes": ["s3cret-5"],
    "env": {"A": "s3cret-6"},
    "number": 77777,
    "token": "s3cret-7",
    "page": {"items": ["s3cret-8"]},
    "typed": {"key": "s3cret-9"},
    "kept": {"key": "s3cret-a"},
    "new": "s3cret-b",
    "Aliased": "s3cret-c",
    "two": "s3cret-d",
    "box": {"key": "s3cret-e", "other": "shown too"},
}


def accepted(model: type[BaseModel], sent: dict[str, Any], **options: Any):
    def take(payload: model) -> None: ...

    return registered_type(job_type("t", payload=model, **options)(take)).accept(sent)


def test_no_secret_is_shown_and_all_else_is():
    kept = accepted(Everything, SENT)
    shown = masked(kept.fields, kept.hidden)

    assert "s3cret" not in json.dumps(shown)
    assert shown["number"] == MASK
    assert shown["plain"] == "shown"
    assert shown["login"] == {
        "user": "ada",
        "password": MASK,
        "again": {"user": "b", "password": MASK},
    }
    assert shown["logins"] == [{"user": "ada", "password": MASK}]
    assert shown["by_name"] == {"x": {"user": "ada", "password": MASK}}
    assert shown["box"] == {"key": MASK, "other": "shown too"}


def test_the_payload_itself_stays_as_it_was():
    kept = accepted(Everything, SENT)

    assert kept.fields == SENT
    assert masked(kept.fields, ()) is kept.fields


def test_a_secret_that_a_validator_moves_is_hidden_where_it_was_sent():
    class Moved(BaseModel):
        login: Login
        note: str = ""

        @model_validator(mode="before")
        @classmethod
        def split(cls, value: Any) -> Any:
            user, password = value.pop("both").split(":")
            return {**value, "login": {"user": user, "password": password}}

    kept = accepted(Moved, {"both": "ada:s3cret", "note": "shown"})

    assert masked(kept.fields, kept.hidden) == {"both": MASK, "note": "shown"}


def test_named_fields_are_hidden_by_each_of_their_names():
    class Card(BaseModel):
        number: str = Field(alias="No")
        pins: list[int] = []
        owner: dict[str, str] = {}

    kept = accepted(
        Card,
        {"No": "4111", "pins": [1234], "owner": {"name": "Ada", "mail": "a@b"}},
        hide=["number", "pins", "owner.mail"],
    )

    assert masked(kept.fields, kept.hidden) == {
        "No": MASK,
        "pins": MASK,
        "owner": {"name": "Ada", "mail": MASK},
    }
    assert hidden_values(kept.fields, kept.hidden) == {"4111", "1234", "a@b"}


def test_what_is_logged_of_a_hidden_field_is_masked():
    kept = accepted(Everything, SENT, log=["login", "codes", "plain"])

    assert "s3cret" not in json.dumps(kept.logged)
    assert kept.logged["plain"] == "shown"


def test_the_model_behind_the_payload_tells_its_texts():
    def take(token: str, password: SecretStr) -> None: ...

    bound = registered_type(job_type("t", hide=["token"])(take)).bind(
        {"token": "  tok-1234", "password": "s3cret"}
    )

    assert bound.hidden == {"  tok-1234", "s3cret"}


@pytest.mark.parametrize("name", ["nothing", "", ".", "nothing.password", "Aliased"])
def test_a_name_that_is_no_field_is_refused(name):
    with pytest.raises(ValueError, match="hide names no field of the payload"):
        named_paths(Everything, [name])


def test_a_model_without_secrets_hides_nothing():
    class Open(BaseModel):
        pair: NamedTuple("Pair", [("x", int)])
        number: int

    assert secret_paths(Open) == frozenset()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("KeyError: 'hunter2'", f"KeyError: '{MASK}'"),
        ("said 'line\\none' and \"line\\none\"", f"said '{MASK}' and \"{MASK}\""),
        ('{"k": "\\u00e4\\u00f6\\u00fc\\u00df"}', f'{{"k": "{MASK}"}}'),
        ("hunter2hunter2-long", f"{MASK}{MASK}"),
        ("abc 12", "abc 12"),
    ],
)
def test_a_text_is_shown_without_hidden_values(text, shown):
    values = {"hunter2", "hunter2-long", "line\none", "äöüß", "abc", "12"}

    assert without(text, values) == shown
