"""The frames of a traceback, the application's own told from others'."""

import re
from typing import Any

from spigot.jobs.job.failure_place import FOREIGN, FRAME

GROUP = "Exception Group Traceback"
MARGIN = re.compile(r"^ *\| ", re.M)
"""What stands in front of the lines of a group."""


def frames_of(traceback: str | None) -> list[dict[str, Any]]:
    """Return the frames of a traceback: place, code, and whether it is the application's own."""
    found: list[dict[str, Any]] = []
    text = traceback or ""
    for line in (MARGIN.sub("", text) if GROUP in text else text).splitlines():
        if match := FRAME.match(line):
            own = not FOREIGN.search(match["file"])
            found.append({**match.groupdict(), "own": own, "code": []})
        elif found and line.startswith("    "):
            found[-1]["code"].append(line[4:])
    return found
