"""A job's timeline: its waits, the stops of its bucket that fell into them, and its attempts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

from redis import Redis

from spigot.jobs.job.state import JobState
from spigot.jobs.overview.history import CELL_SECONDS
from spigot.jobs.overview.number_texts import span_text
from spigot.jobs.overview.reading import BucketView
from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_int, stored_text, unless_spoilt
from spigot.jobs.store.times import unix_us, utc_text

from .cards import Texts

MOST_ATTEMPTS = 10
MOST_STOPS = 6
"""Stops that are shown, the longest; what remains is waiting."""

SHORTEST_WAIT_US = 50_000
"""A shorter one is the way from the queue to the start, and tells nothing."""

CELL_US = CELL_SECONDS * 1_000_000
ENDS = {b"1": ("finished", "run"), b"2": ("failed", "fail"), b"3": ("stopped", "fail"),
        b"4": ("failed, to be retried", "fail")}  # fmt: skip
"""What became of an attempt, by ``rq.results.Result.Type``."""

STOPS = {"held": "bucket held", "paused": "bucket paused", "no worker": "no worker was alive"}


@dataclass(frozen=True, slots=True)
class Step:
    """A time on a job's way.

    Attributes:
        what: In a few words.
        kind: Of its bar: ``wait``, ``stop``, ``run``, ``fail`` or ``refuse``.
        begin: Unix microseconds.
        end: Unix microseconds.
        said: A line below it; "" for none.
    """

    what: str
    kind: str
    begin: int
    end: int
    said: str = ""


class Stop(NamedTuple):
    """A time in which a job's bucket let nothing start."""

    begin: int
    end: int
    what: str


@dataclass(frozen=True, slots=True)
class Past:
    """What is kept of a job's attempts that are over.

    Attributes:
        ended: Attempts with a result, as RQ keeps them, the oldest first.
        refused: Starts that the downstream refused: start, end, until when the bucket was held.
    """

    ended: Sequence[Mapping[bytes, bytes]]
    refused: Sequence[tuple[int, int, int]]


def read_past(redis: Redis, job_id: str) -> Past:
    """Return what is kept of a job's attempts, in one round trip.

    Raises:
        redis.RedisError: The server did not answer.
    """
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.xrevrange(keys.results(job_id), count=MOST_ATTEMPTS)
        pipeline.hget(keys.job(job_id), "spigot_refused_starts")
        results, starts = pipeline.execute(raise_on_error=False)
    ended = unless_spoilt(lambda: _or_raise(results), [])
    refused = stored_text(unless_spoilt(lambda: _or_raise(starts), None) or b"")
    numbers = ([stored_int(text) for text in line.split()] for line in refused.splitlines())
    return Past(
        [fields for _, fields in reversed(ended)],
        [
            (line[0], line[1], line[2])
            for line in numbers
            if len(line) == 3 and 0 < line[0] <= line[1]
        ],
    )


def steps_of(job: JobState, past: Past, view: BucketView | None, now_us: int) -> list[Texts]:
    """Return waits and attempts in their order, each with its bar on one common axis."""
    attempts = _attempts(job, past, now_us)
    stops = sorted([*_stops_of_bucket(view), *_stops_of_refusals(past, attempts, now_us)])
    steps = list(_with_waits(job, attempts, _longest(stops), now_us))
    if not steps:
        return []
    begin, end = steps[0].begin, max(step.end for step in steps)
    return [_texts(number, step, begin, max(1, end - begin)) for number, step in enumerate(steps)]


def _or_raise(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _attempts(job: JobState, past: Past, now_us: int) -> list[Step]:
    found = [
        Step(*ENDS.get(fields.get(b"type", b""), ("ended", "run")), started, ended)
        for fields in past.ended
        if (started := _us(fields, b"execution_started_at"))
        and (ended := _us(fields, b"execution_ended_at"))
    ]
    found += [
        Step("refused", "refuse", started, ended, "its downstream asked to wait")
        for started, ended, _ in past.refused
    ]
    if job.status == "started" and job.started_at:
        found.append(Step("running", "run", unix_us(job.started_at), now_us))
    found.sort(key=lambda step: step.begin)
    if len(found) != job.attempts:  # some are forgotten: nobody can tell their numbers
        return [replace(step, what=f"attempt {step.what}") for step in found]
    return [
        replace(step, what=f"attempt {number} {step.what}") for number, step in enumerate(found, 1)
    ]


def _stops_of_bucket(view: BucketView | None) -> Iterator[Stop]:
    """Return when the bucket started nothing in the last 30 minutes, and why, in cells of 5 s."""
    if view is None:
        return
    number = view.now_us // CELL_US - len(view.history) + 1
    for reason, cells in groupby(view.history, key=lambda cell: cell.stop):
        count = len(list(cells))
        if reason:
            yield Stop(
                number * CELL_US, min(view.now_us, (number + count) * CELL_US), STOPS[reason]
            )
        number += count


def _stops_of_refusals(past: Past, attempts: Sequence[Step], now_us: int) -> Iterator[Stop]:
    """Return the holds that began with this job, whose ends are known however long ago."""
    for _, ended, held_until in past.refused:
        next_start = min((step.begin for step in attempts if step.begin >= ended), default=now_us)
        if held_until > ended:
            yield Stop(ended, min(held_until, next_start), STOPS["held"])


def _longest(stops: Sequence[Stop]) -> list[Stop]:
    """Return the longest stops in their order, none of which overlaps another."""
    apart: list[Stop] = []
    for stop in stops:
        before = apart[-1] if apart else None
        if before and before.what == stop.what and stop.begin <= before.end:
            apart[-1] = before._replace(end=max(before.end, stop.end))
        elif not before or stop.end > before.end:
            apart.append(stop._replace(begin=max(stop.begin, before.end if before else 0)))
    return sorted(sorted(apart, key=lambda stop: stop.begin - stop.end)[:MOST_STOPS])


def _with_waits(
    job: JobState, attempts: Sequence[Step], stops: Sequence[Stop], now_us: int
) -> Iterator[Step]:
    """Return the attempts and what lies before, between and behind them."""
    joined = unix_us(job.enqueued_at) if job.enqueued_at else now_us
    at = min([joined, *(step.begin for step in attempts)])
    for step in attempts:
        yield from _wait(at, step.begin, joined, stops)
        yield step
        at = max(at, step.end)
    if not job.ended and job.status != "started":
        waits = list(_wait(at, now_us, joined, stops))
        last = waits[-1] if waits else Step("", "wait", at, now_us)
        now = "delayed" if job.status == "delayed" else "waiting"
        what = last.what if last.kind == "stop" else now
        yield from (*waits[:-1], replace(last, what=what, said=job.error or ""))
    elif job.ended and not attempts and job.ended_at:
        yield from _wait(at, unix_us(job.ended_at), joined, stops)


def _wait(begin: int, end: int, joined: int, stops: Sequence[Stop]) -> Iterator[Step]:
    """Return what a wait consists of: the bucket's stops, and plain waiting for the turn."""
    if begin < joined < end:  # it had failed, and somebody let it wait again
        yield Step("over, until requeued", "wait", begin, joined)
        begin = joined
    for stop in stops:
        stop_begin, stop_end = max(begin, stop.begin), min(end, stop.end)
        if stop_end <= stop_begin:
            continue
        if stop_begin - begin >= SHORTEST_WAIT_US:
            yield Step("waited", "wait", begin, stop_begin)
        yield Step(stop.what, "stop", stop_begin, stop_end)
        begin = stop_end
    if end - begin >= SHORTEST_WAIT_US:
        yield Step("waited", "wait", begin, end)


def _texts(number: int, step: Step, begin: int, length: int) -> Texts:
    return {
        "key": f"{number}",
        "time": utc_text(step.begin, digits="seconds"),
        "what": step.what,
        "bar": f"{step.kind}-bar",
        "x": f"{1000 * (step.begin - begin) / length:.0f}",
        "width": f"{max(2, 1000 * (step.end - step.begin) / length):.0f}",
        "lasted": span_text(max(0, step.end - step.begin) / 1_000_000),
        "said": step.said,
    }


def _us(fields: Mapping[bytes, bytes], name: bytes) -> int:
    try:
        return int(float(stored_text(fields.get(name, b"0"))) * 1_000_000)
    except ValueError:  # nothing that RQ would have written
        return 0
