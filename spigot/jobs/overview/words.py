"""Numbers as people read them: durations, rates, counts."""

from datetime import datetime

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def clock_text(seconds: float) -> str:
    """Return a duration as a clock shows it: ``0:42``, ``4:12``, ``1:02:10``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def span_text(seconds: float) -> str:
    """Return a duration in the unit that fits: ``12 ms``, ``6.7 s``, ``21 min``, ``3 h``."""
    if seconds < 0.995:
        return f"{round(seconds * 1000)} ms" if seconds < 0.0995 else f"{seconds:.2g} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    if seconds < 120:
        return f"{round(seconds)} s"
    if seconds < 7200:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h" if seconds < 172800 else f"{round(seconds / 86400)} d"


def count_text(number: int, noun: str) -> str:
    """Return ``1 job``, ``1,200 jobs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def number_text(number: float) -> str:
    """Return a number with two figures behind the point at most, and none that say nothing."""
    if number >= 100 or number == round(number):
        return f"{round(number):,}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2g}"


def unit_of(rate: str) -> str:
    """Return the unit in which a rate is written: ``s``, ``m``, ``h`` or ``d``."""
    unit = rate.partition("/")[2].strip()[:1]
    return unit if unit in UNIT_SECONDS else "s"


def rate_text(per_second: float, unit: str) -> str:
    """Return a rate in a unit: ``0.15/s``."""
    return f"{number_text(per_second * UNIT_SECONDS[unit])}/{unit}"


def unix_us(moment: str) -> int:
    """Return an RFC 3339 time as Unix microseconds."""
    found = datetime.fromisoformat(moment)
    return int(found.timestamp()) * 1_000_000 + found.microsecond
