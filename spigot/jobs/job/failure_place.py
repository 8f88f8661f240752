"""Where in an application a job failed, told from its traceback."""

import re

FRAME = re.compile(
    r'^[ |]*File "(?P<file>[^"\n]*)", line (?P<line>\d+), in (?P<function>.*)$', re.M
)
BEGINNING = "Traceback (most recent call last):"
FOREIGN = re.compile(r"[/\\](?:site-packages|dist-packages|lib[/\\]python3\.\d+)[/\\]|^<")
"""Where frames lie that are no code of the application."""

LONGEST = 300
"""Characters of a place; of a longer one the end is kept."""


def place_of(traceback: str | None) -> str | None:
    """Return the application's last frame; the last of all if none is the application's."""
    frames = list(FRAME.finditer((traceback or "").rpartition(BEGINNING)[2]))
    if not frames:
        return None
    own = [frame for frame in frames if not FOREIGN.search(frame["file"])]
    frame = (own or frames)[-1]
    return f"{frame['file']}:{frame['line']} in {frame['function']}"[-LONGEST:]
