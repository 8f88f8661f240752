"""The rules in plain Python and fractions, as a client would work them out on paper."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor


@dataclass
class Answer:
    """What one rule says of a request.

    Attributes:
        admits: Whether it lets the request pass.
        remaining: How many such requests it would let pass.
        more_in_us: Microseconds until it would let more of them pass; None: never.
    """

    admits: bool
    remaining: int
    more_in_us: int | None


class Bucket:
    """A token bucket of one client.

    Args:
        capacity: Tokens.
        per_us: Tokens earned per microsecond.
    """

    def __init__(self, capacity: int, per_us: Fraction) -> None:
        self.change(capacity, per_us)
        self._tokens = Fraction(capacity)
        self._seen_us: int | None = None

    def change(self, capacity: int, per_us: Fraction) -> None:
        """Give the rule other numbers: nobody gains or loses tokens by that alone."""
        self._capacity = capacity
        self._per_us = per_us

    def look(self, now_us: int, cost: int) -> Answer:
        """Work out what a request of ``cost`` would be told."""
        tokens, lag = self._tokens_at(now_us)
        remaining = floor(tokens / cost)
        wanted = (remaining + 1) * cost
        more = None if wanted > self._capacity else lag + ceil((wanted - tokens) / self._per_us)
        return Answer(tokens >= cost, remaining, more)

    def spend(self, now_us: int, cost: int) -> None:
        """Take the tokens."""
        tokens, lag = self._tokens_at(now_us)
        self._tokens, self._seen_us = tokens - cost, now_us + lag

    def _tokens_at(self, now_us: int) -> tuple[Fraction, int]:
        if self._seen_us is None:
            return Fraction(self._capacity), 0
        # tokens are kept as whole parts of a token, as many as microseconds earn one
        parts = self._per_us.denominator
        tokens = Fraction(floor(self._tokens * parts), parts)
        elapsed = max(0, now_us - self._seen_us)
        earned = min(Fraction(self._capacity), tokens + elapsed * self._per_us)
        return earned, max(0, self._seen_us - now_us)


class Window:
    """A fixed window of one client.

    Args:
        limit: Requests.
        length_us: Microseconds.
    """

    def __init__(self, limit: int, length_us: int) -> None:
        self.change(limit, length_us)
        self._start_us: int | None = None
        self._spent = 0

    def change(self, limit: int, length_us: int) -> None:
        """Give the rule other numbers: what was spent stays spent, since when it was."""
        self._limit = limit
        self._length_us = length_us

    def look(self, now_us: int, cost: int) -> Answer:
        """Work out what a request of ``cost`` would be told."""
        left = max(0, self._limit - self._spent) if self._is_open(now_us) else self._limit
        remaining = left // cost
        more = None
        if (remaining + 1) * cost <= self._limit:
            more = self._start_us + self._length_us - now_us
        return Answer(left >= cost, remaining, more)

    def spend(self, now_us: int, cost: int) -> None:
        """Take the requests."""
        if not self._is_open(now_us):
            self._start_us, self._spent = now_us, 0
        self._spent += cost

    def _is_open(self, now_us: int) -> bool:
        return self._start_us is not None and now_us < self._start_us + self._length_us
