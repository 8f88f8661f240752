"""The frames of a traceback, the application's own told from others'."""

import re
from typing import Any

from spigot.jobs.job.failure_place import FOREIGN

FRAME = re.compile(r'^ *File "(?P<file>[^"\n]*)", line (?P<line>\d+), in (?P<function>.*)$')


def frames_of(traceback: str | None) -> list[dict[str, Any]]:
    """Return the frames of a traceback: place, code, and whether it is the application's own."""
    found: list[dict[str, Any]] = []
    for line in (traceback or "").splitlines():
        if match := FRAME.match(line):
            own = not FOREIGN.search(match["file"])
            found.append({**match.groupdict(), "own": own, "code": []})
        elif found and line.startswith("    "):
            found[-1]["code"].append(line[4:])
    return found
