"""The job that all systems run in the measurements: it notes when it started, and ends.

Other systems import this from environments of their own, so it needs nothing but Python.
"""

import os
import time


def note(slot_us: int = 0) -> None:
    """Append the time, Unix microseconds, and the slot that the job was given, if any."""
    line = b"%d %d\n" % (time.time_ns() // 1000, slot_us)
    file = os.open(os.environ["START_NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line)
    os.close(file)
