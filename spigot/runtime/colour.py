"""Whether a stream shows colours."""

import os
from typing import TextIO


def is_welcome(stream: TextIO) -> bool:
    """Heed ``NO_COLOR`` (no-color.org) first, then ``FORCE_COLOR`` (force-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
