"""Jobs that are posted all the time, whatever becomes of the server meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from redis import Redis

from .fleet import Fleet, Web
from .processes import wait_for

PAUSE_SECONDS = 0.03

CHANNELS = 3
"""That of each of two workers, and that of holds."""


@dataclass
class Poster:
    """Posts jobs all the time, from a thread of its own, once it is started.

    Attributes:
        accepted: Id by the time of its 202, by ``time.monotonic()``.
        refused: Times of the other answers.
    """

    web: Web
    accepted: dict[str, float] = field(default_factory=dict)
    refused: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return once the last answer has come: what was accepted changes no more."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(PAUSE_SECONDS):
            body = {"type": "echo", "payload": {"text": "a"}}
            status, answer = self.web.ask("POST", "/jobs", body)
            if status == 202:
                self.accepted[answer["id"]] = time.monotonic()
            else:
                assert status == 503, answer
                self.refused.append(time.monotonic())

    def accepted_after(self, moment: float) -> list[str]:
        return [one for one, at in list(self.accepted.items()) if at > moment]

    def refused_after(self, moment: float) -> int:
        return sum(at > moment for at in list(self.refused))


def wait_until_all_have_followed(
    fleet: Fleet, poster: Poster, new: Redis, *, since: float, seconds: float
) -> None:
    """Wait until a new primary has all that the old one had: requests, starts and who listens.

    Args:
        fleet: With two workers.
        poster: At work.
        new: The new primary.
        since: When it was made one, on the monotonic clock.
        seconds: How long each may take.
    """
    lines = len(fleet.log())
    wait_for(lambda: poster.accepted_after(since), seconds)
    wait_for(lambda: len(fleet.log()) > lines + 1, seconds)
    # what only listens is there as well: the workers' commands, and the stream
    wait_for(lambda: len(new.pubsub_channels("rq:pubsub:*")) == CHANNELS, seconds)
    wait_for(lambda: new.pubsub_numsub("spigot:1:job_events")[0][1] >= 1, seconds)


@contextmanager
def posting(web: Web) -> Iterator[Poster]:
    """Post until the end of the block."""
    poster = Poster(web)
    poster.start()
    try:
        yield poster
    finally:
        poster.stop()
