"""What a downstream said of one of its own limits."""

from dataclasses import dataclass

from .amounts import micro

LONGEST_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class UpstreamNote:
    """One limit, as an answer stated it.

    Attributes:
        name: ``tokens``, ``requests``, ``input_tokens``, ``output_tokens``, or that of a policy.
        limit: What it grants.
        remaining: What is left of it.
        seconds: Until it begins anew, or is full again.
    """

    name: str
    limit: float
    remaining: float
    seconds: float

    @property
    def text(self) -> str:
        """The note as ``upstream_limits.lua`` reads it."""
        seconds = min(LONGEST_SECONDS, max(0.0, self.seconds))
        remaining = min(self.remaining, self.limit)
        return f"{self.name}:{micro(self.limit)}:{micro(remaining)}:{round(seconds * 1_000_000)}"
