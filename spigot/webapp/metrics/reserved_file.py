"""A file of counters whose room on the disk is reserved before anything is written to it.

prometheus-client makes files longer without room for what they will hold, and writes into their
memory. Where the disk is full then, the kernel ends the process, with all requests that it serves.
"""

import logging
import os

from prometheus_client.mmap_dict import MmapedDict

log = logging.getLogger(__name__)

RESERVED_BYTES = 1 << 18
"""Room for a few thousand series; prometheus-client takes more by itself when that is full."""


class ReservedFile(MmapedDict):
    """What ``values.MultiProcessValue`` keeps counters in.

    If there is no room, this process counts in memory that no other sees.

    Args:
        filename: The file.
        read_mode: As prometheus-client has it.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        memory = None if read_mode or _has_room(filename) else os.memfd_create("counters")
        name = filename if memory is None else f"/proc/self/fd/{memory}"
        super().__init__(name, read_mode)  # type: ignore[no-untyped-call]
        if memory is not None:
            os.close(memory)  # it is open a second time


def _has_room(filename: str) -> bool:
    """Reserve room for a file; return whether there was any, or none can be reserved here."""
    if not hasattr(os, "posix_fallocate") or not hasattr(os, "memfd_create"):  # not Linux
        return True
    file = os.open(filename, os.O_RDWR | os.O_CREAT, 0o644)
    is_new = os.fstat(file).st_size == 0
    try:
        os.posix_fallocate(file, 0, RESERVED_BYTES)
    except OSError as error:
        log.error("a process counts for itself alone, to its end: %s: %s", filename, error.strerror)
        if is_new:
            os.unlink(filename)  # an empty one could not be read
        return False
    finally:
        os.close(file)
    return True
