import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from spigot.runtime.rate import MICROSECONDS, Rate


@pytest.mark.parametrize(
    ("text", "interval_us", "per_second", "burst"),
    [
        ("10/s", 100_000, 10, 1),
        ("60/m", 1_000_000, 1, 1),
        ("1000/h", 3_600_000, 1000 / 3600, 1),
        ("5000/d", 17_280_000, 5000 / 86400, 1),
        ("60/m burst 5", 1_000_000, 1, 5),
        ("  7 / s  ", 142_858, 7, 1),
        ("1000000/s", 1, 1_000_000, 1),
        ("1/d", 86_400_000_000, 1 / 86400, 1),
    ],
)
def test_reads_what_people_write(text, interval_us, per_second, burst):
    rate = Rate.parse(text)

    assert (rate.interval_us, rate.burst) == (interval_us, burst)
    assert rate.count * 1_000_000 / rate.period_us == per_second
    assert rate.text == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "10/x",
        "-1/s",
        "1.5/s",
        "10/s burst",
        "10/s burst -1",
        "ten/s",
        "10/s\n10/s",
        "\u0661/s",
    ],
)
def test_refuses_what_is_no_rate(text):
    with pytest.raises(ValueError, match="is no rate; write it like 10/s, 60/m"):
        Rate.parse(text)


@pytest.mark.parametrize("text", ["0/s", "10/s burst 0", "1000001/s", "999999999/s"])
def test_refuses_a_rate_that_is_out_of_range(text):
    with pytest.raises(ValueError, match="must be at least 1, at most 1000000/s"):
        Rate.parse(text)


@given(st.integers(1, 1_000_000), st.sampled_from("smhd"))
def test_the_interval_never_exceeds_the_rate_and_wastes_less_than_a_microsecond(count, period):
    rate = Rate.parse(f"{count}/{period}")

    assert 0 <= rate.interval_us * count - MICROSECONDS[period] < count


def test_a_model_reads_and_writes_it_as_text():
    class Limit(BaseModel):
        rate: Rate

    limit = Limit.model_validate_json('{"rate": "60/m burst 5"}')

    assert limit.rate == Rate.parse("60/m burst 5")
    assert limit.model_dump_json() == '{"rate":"60/m burst 5"}'


@pytest.mark.parametrize("value", ["10", 10, None])
def test_a_model_refuses_what_is_no_rate(value):
    class Limit(BaseModel):
        rate: Rate

    with pytest.raises(ValidationError):
        Limit(rate=value)
