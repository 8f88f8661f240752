"""What is said and drawn of a bucket on a page, as flat texts that a template and a script show."""

from collections.abc import Iterable
from typing import NamedTuple

from spigot.jobs.overview.badges import NEEDS_SOMEBODY
from spigot.jobs.overview.number_texts import rate_text, unit_of
from spigot.jobs.overview.outlook import places_of
from spigot.jobs.overview.reading import BucketView
from spigot.jobs.overview.verdict import Verdict, judge

from .tap_picture import SMALL, Frame, level_picture, tap_picture

Texts = dict[str, str]
"""By key: what an element of the page says, or an attribute of it; "" hides what is optional."""


class Judged(NamedTuple):
    """A bucket and how it is."""

    view: BucketView
    verdict: Verdict

    @property
    def needs_somebody(self) -> bool:
        """Whether a person must act."""
        return self.verdict.rank <= NEEDS_SOMEBODY


def judged(views: Iterable[BucketView], *, is_admin: bool) -> list[Judged]:
    """Return the bucket that needs somebody first; for a stranger, where a job starts soonest."""

    def urgency(one: Judged) -> tuple[float, float, str]:
        state = one.view.state
        if not is_admin:
            return one.verdict.sent_now_seconds, 0, state.name
        return one.verdict.rank, -state.waiting / max(1, state.capacity), state.name

    found = (Judged(view, judge(view, is_admin=is_admin)) for view in views)
    return sorted(found, key=urgency)


def card_of(one: Judged, *, is_admin: bool, frame: Frame = SMALL) -> Texts:
    """Return the texts of a bucket's card."""
    view, verdict = one
    texts = {
        "name": view.state.name,
        "why": verdict.why(is_admin=is_admin),
        **_badges(verdict),
        **_facts(view, verdict),
        "waiting": f"{view.state.waiting:,}",
        "capacity_text": f"of {view.state.capacity:,}",
        **level_picture(view.state.waiting, view.state.capacity),
        **tap_picture(view, frame),
        **_valve(view),
    }
    return texts | (_admin_facts(view) if is_admin else {})


def _badges(verdict: Verdict) -> Texts:
    first = verdict.badges[0]
    second = verdict.badges[1] if len(verdict.badges) > 1 else None
    return {
        "word": first.word,
        "mark": f"#{first.mark}",
        "tone": f"state {first.tone}",
        "second": second.word if second else "",
        "second_mark": f"#{second.mark}" if second else "#ring",
        "second_tone": f"state {second.tone}" if second else "",
    }


def _facts(view: BucketView, verdict: Verdict) -> Texts:
    unit = unit_of(view.state.rate)
    return {
        "pace": rate_text(verdict.pace, unit),
        "pace_of": f"of {view.state.rate}",
        "next_start": verdict.next_start,
        "empty_in": verdict.empty_in,
        "sent_now": verdict.sent_now,
    }


def _admin_facts(view: BucketView) -> Texts:
    state = view.state
    places = places_of(view)
    return {
        "running": f"{state.running:,}",
        "running_of": f"of {places:,}" if places else "",
        "failed": f"{view.failed:,}",
        "failed_tone": "bad" if view.failed else "",
        "delayed": f"{state.delayed:,}",
        "can_pause": "" if state.paused else "1",
        "can_resume": "1" if state.paused or state.draining else "",
        "can_release": "1" if state.held_until or state.probing else "",
    }


def _valve(view: BucketView) -> Texts:
    """Return what closes the spout, or a drop below an open one."""
    state = view.state
    if not state.workers and state.waiting:
        return {"valve": "#dry"}
    if state.paused or state.held_until:
        return {"valve": "#shut"}
    flows = view.history[-1].starts or view.history[-2].starts
    return {"valve": "#flows" if flows else "#open"}
