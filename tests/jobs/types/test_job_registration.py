"""What ``@job_type`` takes, and how it says no: one line that names the type and the argument."""

import asyncio
import functools
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType

import pytest
from pydantic import BaseModel, RootModel

from spigot import RetryPolicy, job_type
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import MARK, registered_type


class Report(BaseModel):
    customer: str
    year: int = 2026


class Numbers(RootModel[dict[str, int]]):
    pass


class Greeter:
    def __init__(self, greeting: str) -> None:
        self.greeting = greeting

    def __call__(self, name: str) -> str:
        return f"{self.greeting} {name}"

    def method(self, name: str) -> str:
        return name

    @staticmethod
    def fixed(name: str) -> str:
        return name


class Slotted:
    __slots__ = ()

    def __call__(self, name: str) -> str:
        return name


def greet(name: str, *, greeting: str = "hello") -> str:
    return f"{greeting} {name}"


def lines(text: str) -> Iterator[str]:
    yield text


async def later_lines(text: str) -> AsyncIterator[str]:
    yield text


async def later(name: str) -> str:
    return name


def passed_on(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


def loaded(function) -> JobCatalog:
    """Return the catalog of a module that holds the function."""
    module = ModuleType("of_one_function")
    module.function = function
    sys.modules[module.__name__] = module
    try:
        return JobCatalog.load([module.__name__])
    finally:
        del sys.modules[module.__name__]


@pytest.mark.parametrize(
    ("function", "payload", "result"),
    [
        (functools.cache(greet), {"name": "Ada"}, "hello Ada"),
        (functools.lru_cache(maxsize=3)(greet), {"name": "Ada", "greeting": "hi"}, "hi Ada"),
        (functools.partial(greet, greeting="hey"), {"name": "Ada"}, "hey Ada"),
        (functools.partial(greet, "Bob"), {"greeting": "hey"}, "hey Bob"),
        (functools.partial(functools.cache(greet), greeting="oh"), {"name": "Ada"}, "oh Ada"),
        (Greeter("good day"), {"name": "Ada"}, "good day Ada"),
        (functools.partial(Greeter("moin")), {"name": "Ada"}, "moin Ada"),
        (passed_on(greet), {"name": "Ada"}, "hello Ada"),
    ],
)
def test_whatever_can_be_called_is_found_and_called(function, payload, result):
    name = f"kind-{id(function)}"
    catalog = loaded(job_type(name)(function))
    found = catalog.get(name)

    assert found.bind(found.accept(payload).fields).call() == result
    assert found.function_name.startswith(("tests.jobs.types.test_job_registration.", "functools."))


def test_what_a_partial_has_filled_is_no_part_of_the_payload():
    found = registered_type(job_type("part")(functools.partial(greet, greeting="hey")))

    assert list(found.payload.model_fields) == ["name"]


def test_a_coroutine_function_is_taken():
    found = registered_type(job_type("later")(later))

    assert asyncio.run(found.bind({"name": "Ada"}).call()) == "Ada"


def test_the_model_may_be_given_beside_parameters_with_defaults():
    def write(first: int = 1, /, second: int = 2, *, report: Report) -> str:
        return f"{report.customer} {first} {second}"

    found = registered_type(job_type("beside", payload=Report)(write))

    assert found.bind({"customer": "Ada"}).call() == "Ada 1 2"


def test_a_model_without_fields_is_given_whole():
    def add(numbers: Numbers) -> int:
        return sum(numbers.root.values())

    found = registered_type(job_type("sum", payload=Numbers)(add))

    assert found.bind(found.accept({"a": 1, "b": 2}).fields).call() == 3


def test_a_function_keeps_its_job_type_when_its_module_registers_it_again():
    function = job_type("again", timeout=1)(passed_on(later))

    assert registered_type(job_type("again", timeout=2)(function)).timeout == 2


UNFIT = [
    (lines, "lines is a generator function, of which a call runs no line: return a list"),
    (later_lines, "later_lines is a generator function"),
    (functools.partial(lines, "x"), "lines is a generator function"),
    (functools.cache(lines), "lines is a generator function"),
    (functools.cache(later), "later is a cached coroutine function"),
    (Greeter, "Greeter is a class: register a function"),
    (Greeter("x").method, "a method cannot be found by the workers"),
    (Greeter.method, "Greeter.method is a method"),
    (Greeter.fixed, "Greeter.fixed is a method"),
    (staticmethod(greet), "a staticmethod cannot be found by the workers"),
    (classmethod(greet), "a classmethod cannot be called"),
    (property(greet), "a property cannot be called"),
    (len, "len is built in"),
    (5, "a int cannot be called"),
    (Slotted(), "a Slotted takes no attributes"),
]


@pytest.mark.parametrize(("function", "reason"), UNFIT)
def test_what_cannot_be_run_is_refused(function, reason):
    with pytest.raises(ValueError, match="job type") as raised:
        job_type("unfit")(function)

    check_line(raised.value, f"job type 'unfit': {reason}")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"timeout": "10m"}, "timeout must be a whole number of seconds, at least 1, not '10m'"),
        ({"timeout": 0}, "timeout must be a whole number of seconds, at least 1, not 0"),
        ({"timeout": -1}, "timeout must"),
        ({"timeout": 1.5}, "timeout must be a whole number of seconds, at least 1, not 1.5"),
        ({"timeout": True}, "timeout must"),
        ({"timeout": None}, "timeout must"),
        ({"retries": -1}, "retries must be a whole number, at least 0, or a RetryPolicy, not -1"),
        ({"retries": "3"}, "retries must"),
        ({"retries": True}, "retries must"),
        ({"retries": None}, "retries must"),
        ({"retries": {"retries": 3}}, "retries must"),
        ({"bucket": "My Bucket"}, "bucket must be small letters, digits and _"),
        ({"bucket": ""}, "bucket must"),
        ({"bucket": "default-high"}, "bucket must"),
        ({"bucket": None}, "bucket must"),
        ({"log": "name"}, "log must be a list of names of fields, not 'name'"),
        ({"log": [1]}, "log must be a list of names of fields, not [1]"),
        ({"log": None}, "log must"),
        ({"log": ["nme"]}, "log names no field of the payload: 'nme'"),
        ({"internal": 1}, "internal must be True or False, not 1"),
        ({"hide": "name"}, "hide must be a list of names of fields, not 'name'"),
        ({"hide": ["nme"]}, "hide names no field of the payload: 'nme'"),
        ({"log": ["name"], "hide": ["name"]}, "'name' is in log and in hide"),
        ({"payload": dict}, "payload must be a pydantic model, not <class 'dict'>"),
        ({"payload": Report(customer="a")}, "payload must be a pydantic model"),
        ({"payload": Report}, "the payload has no field for parameter 'name'"),
        ({"payload": Numbers}, "annotate one parameter with Numbers"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused(options, reason):
    with pytest.raises(ValueError, match="job type") as raised:
        job_type("wrong", **options)(greet)

    check_line(raised.value, f"job type 'wrong': {reason}")


@pytest.mark.parametrize("name", ["", "bad name!", "a ", "a\nb", "-x", "x" * 201, 5, None, b"x"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="job type") as raised:
        job_type(name)

    check_line(raised.value, f"job type {name!r}: name must be")


@pytest.mark.parametrize(
    "name", ["invoice", "mail.send_now", "2fa", "a/b:c-d", "größe", "send it", "x" * 200]
)
def test_a_name_may_be_long_and_divided(name):
    assert registered_type(job_type(name)(passed_on(greet))).name == name


def test_parentheses_that_were_forgotten_are_told():
    with pytest.raises(ValueError, match="lacks its name") as raised:

        @job_type
        def hello(name: str) -> str:
            return name

    check_line(raised.value, "@job_type of ", 'hello\' lacks its name: write @job_type("name")')


class Late:
    """Its annotation is known to a type checker only."""


def late(value: "Nowhere") -> None: ...  # noqa: F821


def hidden(_value: int) -> None: ...


def opaque(value: Late) -> None: ...


def half(report: Report, other: int) -> None: ...


def more(customer: str) -> None: ...


def given_second(first: int = 1, report: Report | None = None, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "reason"),
    [
        (late, {}, "its annotations cannot be read: name 'Nowhere' is not defined"),
        (hidden, {}, "parameter '_value' begins with an underscore"),
        (opaque, {}, "no payload can be made of its annotations: Unable to generate"),
        (half, {"payload": Report}, "nothing is there for parameter 'other'"),
        (more, {"payload": Report}, "no parameter takes the field 'year' of the payload"),
        (given_second, {"payload": Report}, "no parameter takes the field 'customer'"),
    ],
)
def test_a_function_that_could_never_be_given_its_payload_is_refused(function, options, reason):
    with pytest.raises(ValueError, match="job type") as raised:
        job_type("never", **options)(function)

    check_line(raised.value, f"job type 'never': {reason}")


def test_a_second_name_for_a_function_is_refused():
    function = job_type("one")(passed_on(greet))

    with pytest.raises(ValueError, match="job type 'two': the function is the job type 'one' alr"):
        job_type("two")(function)


def test_a_decorator_above_does_not_hide_the_job_type():
    catalog = loaded(passed_on(job_type("below")(passed_on(greet))))

    assert catalog.get("below").bind({"name": "Ada"}).call() == "hello Ada"


def test_a_policy_says_what_is_wrong_with_it():
    assert registered_type(job_type("p", retries=RetryPolicy(retries=2))(passed_on(greet))).retries


def test_a_class_with_a_registered_object_is_no_job_type():
    greeter = Greeter("hi")
    job_type("object")(greeter)

    assert registered_type(Greeter) is None
    assert registered_type(Greeter("ho")) is None
    assert getattr(greeter, MARK).name == "object"


def check_line(error: ValueError, *parts: str) -> None:
    text = str(error)
    assert "\n" not in text.replace("\\n", "")
    for part in parts:
        assert part in text, text
