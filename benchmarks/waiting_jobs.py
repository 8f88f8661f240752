"""The two jobs that all systems of ``pool_systems.py`` run: one waits, one does nothing.

Other systems import this from environments of their own, so it needs nothing but Python.
"""

import os
import struct
import time
import urllib.request

_notes = os.open(os.environ["START_NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def wait(port: int) -> int:
    """Wait for the answer of the server at that port."""
    return len(urllib.request.urlopen(f"http://127.0.0.1:{port}/").read())


def nothing(number: int) -> int:
    """Note the time, Unix microseconds in eight bytes, and return at once."""
    os.write(_notes, struct.pack("<q", time.time_ns() // 1000))
    return number
