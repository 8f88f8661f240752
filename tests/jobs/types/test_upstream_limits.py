"""What downstreams say of their own limits in any answer."""

from types import SimpleNamespace

import pytest

from spigot import note_response
from spigot.jobs.budgets.report import UsedAmounts, costs_told_to
from spigot.jobs.types.upstream_limits import limits_in


def answer(**headers: str) -> SimpleNamespace:
    return SimpleNamespace(
        status_code=200, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


OPENAI = answer(
    x_ratelimit_limit_requests="500",
    x_ratelimit_remaining_requests="499",
    x_ratelimit_reset_requests="120ms",
    x_ratelimit_limit_tokens="30000",
    x_ratelimit_remaining_tokens="29000",
    x_ratelimit_reset_tokens="2s",
)
AZURE = answer(
    x_ratelimit_limit_requests="-1",
    x_ratelimit_remaining_requests="-1",
    x_ratelimit_reset_requests="0",
    x_ratelimit_limit_tokens="1000",
    x_ratelimit_remaining_tokens="10",
    x_ratelimit_reset_tokens="60",
)
ANTHROPIC = answer(
    date="Sat, 28 Nov 2026 12:00:00 GMT",
    anthropic_ratelimit_output_tokens_limit="8000",
    anthropic_ratelimit_output_tokens_remaining="7000",
    anthropic_ratelimit_output_tokens_reset="2026-11-28T12:00:30Z",
)
IETF = answer(
    RateLimit_Policy='"burst";q=100;w=60, "day";q=1000;w=86400',
    RateLimit='"burst";r=50;t=30, "day";r=0',
)


@pytest.mark.parametrize(
    ("response", "notes"),
    [
        (OPENAI, [("requests", 500, 499, 0.12), ("tokens", 30000, 29000, 2)]),
        (AZURE, [("tokens", 1000, 10, 60)]),
        (ANTHROPIC, [("output_tokens", 8000, 7000, 30)]),
        (IETF, [("burst", 100, 50, 30), ("day", 1000, 0, 86400)]),
        (answer(x_ratelimit_limit_tokens="9", x_ratelimit_remaining_tokens="x"), []),
        (answer(x_ratelimit_limit_tokens="9"), []),
        (answer(RateLimit='"burst";r=50;t=30'), []),
        (
            answer(x_ratelimit_limit_tokens="9", x_ratelimit_remaining_tokens="1"),
            [("tokens", 9, 1, 60)],
        ),
        (object(), []),
        (None, []),
    ],
)
def test_the_limits_that_an_answer_states(response, notes):
    found = [(note.name, note.limit, note.remaining, note.seconds) for note in limits_in(response)]

    assert sorted(found) == notes


def test_an_exception_carries_the_headers_of_its_response():
    error = RuntimeError("too many")
    error.response = OPENAI

    assert [note.name for note in limits_in(error)] == ["requests", "tokens"]


def test_the_last_word_on_each_limit_counts():
    used = UsedAmounts()
    with costs_told_to(used):
        note_response(OPENAI)
        note_response(AZURE)

    assert used.noted == ("requests:500000000:499000000:120000 tokens:1000000000:10000000:60000000")


def test_outside_of_a_job_nothing_is_noted():
    note_response(OPENAI)
