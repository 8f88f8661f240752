"""Where in an application a job failed, told from its traceback."""

import re

from spigot.runtime.own_frame import OF_SPIGOT, PACKAGE

FRAME = re.compile(
    r'^[ |]*File "(?P<file>[^"\n]*)", line (?P<line>\d+), in (?P<function>.*)$', re.M
)
BEGINNING = "Traceback (most recent call last):"
FOLDERS = r"[/\\](?:site-packages|dist-packages|lib[/\\]python3\.\d+)[/\\]"
FOREIGN = re.compile(rf"{FOLDERS}|^<|{OF_SPIGOT.pattern}")
"""Where frames lie that are no code of the application."""

LIBRARIES = re.compile(rf"^.*{FOLDERS}|^{re.escape(str(PACKAGE.parent))}/(?=spigot/)")
"""What stands before the name of a library's file."""

LONGEST = 300
"""Characters of a place; of a longer one the end is kept."""


def place_of(traceback: str | None) -> str | None:
    """Return the application's last frame; the last of all if none is the application's.

    Of that, the file is named as it is imported: where libraries lie differs between machines,
    and one failure of a library is to be one group.
    """
    frames = list(FRAME.finditer((traceback or "").rpartition(BEGINNING)[2]))
    if not frames:
        return None
    own = [frame for frame in frames if not FOREIGN.search(frame["file"])]
    frame = (own or frames)[-1]
    file = frame["file"] if own else LIBRARIES.sub("", frame["file"])
    return f"{file}:{frame['line']} in {frame['function']}"[-LONGEST:]
