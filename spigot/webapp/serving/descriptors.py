"""How many connections fit into what a process may open."""

import resource
from dataclasses import dataclass

from spigot.runtime.errors import OperatorError

MOST_CONNECTIONS = 1000
MOST_PARKED = 500

OWN = 64
"""What a process opens for itself: log, poller, pipes, listening sockets, files of metrics."""

PER_THREAD = 4
"""Connections to the servers, and a file that is sent, while a thread serves a request."""

FEWEST = 8


class TooFewDescriptorsError(OperatorError):
    """A web process may open too few files to serve anybody."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What fits into one web process.

    Attributes:
        connections: Clients that are served at once, those between two requests included.
        parked: Clients that wait for a job.
    """

    connections: int
    parked: int

    @property
    def is_less_than_wanted(self) -> bool:
        """Whether a higher limit would let more clients in."""
        return self.connections < MOST_CONNECTIONS or self.parked < MOST_PARKED


def open_files_limit() -> int:
    """Return how many descriptors this process and its children may have each."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def fit(limit: int, threads: int) -> Descriptors:
    """Share out the descriptors of a web process.

    Args:
        limit: How many it may have; negative: as many as it likes.
        threads: That serve requests.

    Raises:
        TooFewDescriptorsError: They do not suffice for a few clients.
    """
    if limit < 0:
        return Descriptors(MOST_CONNECTIONS, MOST_PARKED)
    # with few connections, not all threads have something to do at once
    wide = (limit - OWN - PER_THREAD * threads) * 2 // 3
    narrow = (limit - OWN) // (PER_THREAD + 2)
    connections = min(MOST_CONNECTIONS, max(wide, narrow))
    if connections < FEWEST:
        raise TooFewDescriptorsError(
            f"a process may open {limit} files, which is too few to serve clients: "
            f"raise the limit (ulimit -n, LimitNOFILE=) to 4096"
        )
    left = limit - OWN - PER_THREAD * min(threads, connections) - connections
    return Descriptors(connections, min(MOST_PARKED, left))
