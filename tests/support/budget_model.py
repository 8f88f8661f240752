"""Budgets in plain Python, with exact fractions, to hold the scripts against."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

SECOND_US = 1_000_000


@dataclass
class BudgetModel:
    """One budget.

    Attributes:
        rate: Tokens that refill in a microsecond.
        burst: Tokens that may be spent at once.
        at_start: Whether a job is counted when it starts, and not at an unknown moment.
        level: Tokens that were spent and have not drained, as of ``at_us``.
        held: Tokens that running jobs have reserved.
    """

    rate: Fraction
    burst: int
    at_start: bool
    level: Fraction = Fraction(0)
    held: Fraction = Fraction(0)
    at_us: int = 0
    changed_us: int = 0

    def level_at(self, us: int) -> Fraction:
        return max(Fraction(0), self.level - max(0, us - self.at_us) * self.rate)

    def drain(self, us: int) -> None:
        self.level, self.at_us = self.level_at(us), max(us, self.at_us)

    def ready_us(self, cost: Fraction, us: int) -> int | None:
        if not cost:
            return us
        room = max(Fraction(0), self.burst - cost)
        if self.held > room:
            return None
        over = self.level_at(us) + self.held - room
        return max(us, self.at_us) + ceil(over / self.rate) if over > 0 else us

    def reserve(self, cost: Fraction, slot_us: int) -> None:
        self.drain(slot_us)
        if self.at_start:
            self.level += cost
        else:
            self.held += cost

    def overuse(self, running: "Running", name: str, used: Fraction, now_us: int) -> None:
        """Charge a running attempt for what it has used beyond what it was charged so far."""
        over = used - running.charged[name]
        if over <= 0:
            return
        self.drain(now_us)
        if self.at_start:
            self.level += over
        else:
            self.held += over
        running.charged[name] = used

    def settle(self, running: "Running", name: str, used: Fraction | None, now_us: int) -> None:
        """End an attempt; ``used`` is None for one whose function was never called."""
        cost, was_held = running.charged[name], running.held[name]
        self.drain(now_us)
        if was_held:
            self.held -= cost
            self.level += used or 0
        elif used is not None:
            self.level += max(Fraction(0), used - cost)
        elif running.slot_us >= self.changed_us:
            drained = max(0, self.at_us - running.slot_us) * self.rate
            self.level = max(Fraction(0), self.level - max(Fraction(0), cost - drained))

    def change(self, rate: Fraction, burst: int, now_us: int) -> None:
        if rate != self.rate:
            self.drain(now_us)
            self.changed_us = now_us
        self.rate, self.burst = rate, burst


@dataclass
class Running:
    """An attempt.

    Attributes:
        slot_us: When it started.
        costs: Tokens that it reserved, by budget.
        charged: The same, and what it reported beyond.
        held: Whether these are held, by budget.
        end_us: When it ended; None while it runs.
        used: What it really used, by budget.
    """

    slot_us: int
    costs: dict[str, Fraction]
    held: dict[str, bool]
    end_us: int | None = None
    used: dict[str, Fraction] = field(default_factory=dict)
    charged: dict[str, Fraction] = field(init=False)

    def __post_init__(self) -> None:
        self.charged = dict(self.costs)
