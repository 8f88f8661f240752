"""Whether a stream shows colours."""

import os
from typing import TextIO


def is_welcome(stream: TextIO | None) -> bool:
    """Heed ``NO_COLOR`` (no-color.org) first, then ``FORCE_COLOR`` (force-color.org).

    Args:
        stream: Where they would go; None: it is closed, and takes nothing.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
