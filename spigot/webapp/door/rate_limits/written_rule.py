"""One rule as it is written in ``rate_limits.json``: its fields, and what they may hold."""

from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

from spigot.runtime.rate import Rate
from spigot.webapp.door.client_address import Network, parse_network
from spigot.webapp.door.client_identity import COUNTED_BY_HEADER

from .fixed_window import FixedWindow
from .rule import Match, Rule
from .token_bucket import TokenBucket

Item = TypeVar("Item")

MAX_QUOTA = 10**15 - 1  # what an integer in a header may be: RFC 9651, section 3.3.1
MAX_RATE = 1_000_000  # tokens per second: one per tick of the clock


def _number(value: Any) -> Fraction:
    """Take a JSON number for what its digits say, not for the double they became."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not 0 < value < inf:
        raise ValueError("must be above 0, and not without end")
    return Fraction(str(value))


def _refill_rate(value: Any) -> Fraction:
    if isinstance(value, str):
        rate = Rate.parse(value)
        if rate.burst > 1:
            raise ValueError("the burst of a token bucket is its capacity")
        return Fraction(rate.count * 1_000_000, rate.period_us)
    number = _number(value)
    if number > MAX_RATE:
        raise ValueError(f"must be at most {MAX_RATE} a second")
    return number


def _key(text: str) -> str:
    if text not in ("ip", "global") and not COUNTED_BY_HEADER.fullmatch(text):
        raise ValueError(f"{text!r} is none of ip, header:NAME, global")
    return text.lower()


def _each(read: Callable[[str], Item]) -> Callable[[Any], tuple[Item, ...]]:
    """Return what reads one text or a list of them."""

    def read_all(value: Any) -> tuple[Item, ...]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError("must be a text or a list of texts")
        return tuple(read(text) for text in texts)

    return read_all


Quota = Annotated[int, Field(strict=True, ge=1, le=MAX_QUOTA)]
Networks = Annotated[tuple[Network, ...], PlainValidator(_each(parse_network))]


class WrittenRule(BaseModel):
    """The fields of one rule; a field that is not listed is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    capacity: Quota | None = None
    refill_rate: Annotated[Fraction, PlainValidator(_refill_rate)] | None = None
    limit: Quota | None = None
    window: Annotated[Fraction, PlainValidator(_number)] | None = None
    match: Annotated[tuple[Match, ...], PlainValidator(_each(Match.parse))] = ()
    key: Annotated[tuple[str, ...], PlainValidator(_each(_key))] = ("ip",)
    cost: Quota = 1
    on_error: Literal["local", "allow", "deny"] = "local"
    mode: Literal["enforce", "shadow"] = "enforce"
    allow: Networks = ()
    deny: Networks = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.key:
            raise ValueError("key: must name at least one of ip, header:NAME, global")
        if self.cost > self.algorithm().quota:
            raise ValueError(f"cost: {self.cost} is more than the whole quota")
        return self

    def algorithm(self) -> TokenBucket | FixedWindow:
        """Return the limit that the fields tell.

        Raises:
            ValueError: They tell none, or two, or one that cannot be counted exactly.
        """
        match self.capacity, self.refill_rate, self.limit, self.window:
            case int(capacity), Fraction() as refill_rate, None, None:
                return TokenBucket.of(capacity, refill_rate)
            case None, None, int(limit), Fraction() as window:
                return FixedWindow.of(limit, window)
        raise ValueError("needs either capacity and refill_rate, or limit and window")

    def rule(self, name: str) -> Rule:
        """Return the rule, named ``name``."""
        return Rule(
            name,
            self.algorithm(),
            match=self.match,
            counted_by=self.key,
            cost=self.cost,
            on_error=self.on_error,
            enforced=self.mode == "enforce",
            allow=self.allow,
            deny=self.deny,
        )
