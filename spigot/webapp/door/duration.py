"""A duration as people write it: ``90s``, ``30m``, ``1h``, ``7d``."""

import re

from spigot.runtime.time_units import SECONDS

LONGEST = 3650 * SECONDS["d"]


def parse_duration(text: str) -> int:
    """Return the seconds that ``text`` stands for, up to ten years.

    Raises:
        ValueError: The text is no duration.
    """
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    seconds = int(found[1]) * SECONDS[found[2]] if found else 0
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"{text!r} is no duration; write it like 90s, 30m, 1h or 7d")
    return seconds
