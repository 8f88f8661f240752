from ipaddress import IPv4Network, IPv6Network

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from spigot.jobs.bucket.config import USUAL_NAME as BUCKETS
from spigot.jobs.bucket.config import BucketConfig
from spigot.runtime.rate import FORMS, Rate
from spigot.runtime.wrong_field import IN_ITS_FILE, wrong_value
from spigot.webapp.door.rate_limits.rules_text import USUAL_NAME as RATE_LIMITS
from spigot.webapp.door.rate_limits.written_rule import WrittenRule


def test_the_fields_of_one_file_are_no_fields_of_the_other():
    buckets, rules = set(BucketConfig.model_fields), set(WrittenRule.model_fields)

    assert IN_ITS_FILE[BUCKETS] <= buckets - rules
    assert IN_ITS_FILE[RATE_LIMITS] <= rules - buckets


class Order(BaseModel):
    count: int
    notes: dict[str, str] = {}
    paid: bool = True
    origin: IPv4Network | IPv6Network = IPv4Network("10.0.0.0/8")
    pace: Rate = Rate.parse("1/s")

    @field_validator("count")
    @classmethod
    def few(cls, count: int) -> int:
        if count > 9:
            raise ValueError("at most 9 of them")
        return count


def test_a_wrong_network_is_told_what_is_one():
    with pytest.raises(ValidationError) as raised:
        Order.model_validate({"count": 1, "origin": "10.0.0.1/8"})

    told = "Input should be a network such as 10.0.0.0/8 or 2001:db8::/32, or one address"
    assert {wrong_value(problem) for problem in raised.value.errors()} == {told}


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([], "Input should be an object"),
        ({"count": 1, "notes": "none"}, "Input should be an object"),
        ({"count": 10}, "at most 9 of them"),
        ({"count": 1, "paid": "perhaps"}, "Input should be true or false"),
        ({"count": 1, "paid": None}, "Input should be true or false"),
        *[({"count": 1, "pace": pace}, f"must be a text; {FORMS}") for pace in (None, 10)],
        (
            {"count": "many"},
            "Input should be a valid integer, unable to parse string as an integer",
        ),
    ],
)
def test_a_problem_is_told_without_the_words_of_python(sent, told):
    with pytest.raises(ValidationError) as raised:
        Order.model_validate(sent)

    assert [wrong_value(problem) for problem in raised.value.errors()] == [told]
