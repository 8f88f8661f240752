"""When a job that raised is run again."""

import random

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveFloat


class RetryPolicy(BaseModel):
    """How often, and how long after a failure.

    The nth retry waits ``delay * factor ** (n - 1)`` seconds, at most ``cap``; with jitter a
    random time between 0 and that.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full
    jitter").
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    retries: NonNegativeInt = 0
    """How often a job is run again."""

    delay: NonNegativeFloat = 0
    """Seconds before the first retry; 0: at once, at the end of the queue."""

    factor: PositiveFloat = 2
    """By which the delay grows from one retry to the next."""

    cap: PositiveFloat = 3600
    """Seconds that no retry waits longer than."""

    jitter: bool = True
    """Whether the delay is drawn at random between 0 and its value."""

    def delay_us(self, retry: int) -> int:
        """Return the microseconds before the ``retry``-th retry, counted from 1."""
        try:
            longest = min(self.cap, self.delay * self.factor ** (retry - 1))
        except OverflowError:  # some thousand retries: a float ends at 1.8e308
            longest = self.cap if self.delay else 0
        return round((random.uniform(0, longest) if self.jitter else longest) * 1_000_000)
