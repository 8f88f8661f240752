"""Numbers as people read them: durations, rates, counts."""

from spigot.jobs.store.times import unix_us
from spigot.runtime.time_units import SECONDS


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


def ago_text(moment: str | None, now_us: int) -> str:
    """Return how long ago an RFC 3339 time was, such as ``3 min ago``; "" for none.

    Args:
        moment: The time.
        now_us: Unix microseconds on the same clock.
    """
    return f"{span_text(max(0, now_us - unix_us(moment)) / 1_000_000)} ago" if moment else ""


def number_text(number: float) -> str:
    """Return a number with two figures behind the point at most, and none that say nothing."""
    if number >= 100 or number == round(number):
        return f"{round(number):,}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2g}"


def unit_of(rate: str) -> str:
    """Return the unit in which a rate is written: ``s``, ``m``, ``h`` or ``d``."""
    unit = rate.partition("/")[2].strip()[:1]
    return unit if unit in SECONDS else "s"


def rate_text(per_second: float, unit: str) -> str:
    """Return a rate in a unit: ``0.15/s``."""
    return f"{number_text(per_second * SECONDS[unit])}/{unit}"
