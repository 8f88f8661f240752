"""How a bucket is, and why its pace is what it is."""

from dataclasses import dataclass
from math import inf

from .badges import IDLE, Badge, badges_of
from .outlook import empty_in, next_start, pace_of, seconds_until_start, sent_now
from .reading import BucketView


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a bucket is.

    Attributes:
        rank: Of the most urgent badge.
        badges: One or two, the cause first.
        pace: Starts a second in the last time.
        next_start: When the next job starts.
        empty_in: When nothing waits any more, if nothing more comes.
        sent_now: When a job that is sent now starts.
        sent_now_seconds: The same for sorting; infinite if nobody knows.
    """

    rank: int
    badges: tuple[Badge, ...]
    pace: float
    next_start: str
    empty_in: str
    sent_now: str
    sent_now_seconds: float

    def why(self, *, is_admin: bool) -> str:
        """Return the sentences behind the words; one that ends with a command comes last."""
        told = [
            badge.sentence if is_admin else badge.public or badge.sentence for badge in self.badges
        ]
        return " ".join(sorted(told, key=lambda sentence: not sentence.endswith(".")))


def judge(view: BucketView, *, is_admin: bool = True) -> Verdict:
    """Say how a bucket is; a stranger is not told of failures."""
    found = (badge for badge in badges_of(view) if is_admin or badge.word != "failing")
    badges = sorted(found, key=lambda badge: badge.rank)
    chosen = badges[:1]
    if badges[0].word in ("full", "failing") and len(badges) > 1 and badges[1].rank < IDLE - 1:
        chosen = [badges[1], badges[0]]
    elif len(badges) > 1 and badges[1].word == "full":
        chosen = badges[:2]
    seconds = seconds_until_start(view, view.state.waiting + 1)
    return Verdict(
        rank=badges[0].rank,
        badges=tuple(chosen),
        pace=pace_of(view),
        next_start=next_start(view),
        empty_in=empty_in(view),
        sent_now=sent_now(view, seconds),
        sent_now_seconds=inf if view.state.waiting >= view.state.capacity else seconds,
    )
