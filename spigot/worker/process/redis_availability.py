"""Whether the server answers: the log says once that it is away, and once that it is back."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from redis.exceptions import RedisError

from spigot.runtime.server.redis_connection import is_away
from spigot.runtime.stop_signals import StopSignals

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

RETRY_SECONDS = 0.25


class RedisAvailability:
    """Whether the server answers, as this process knows it; its threads share one.

    Args:
        stop: Ends a wait for the server early.
    """

    def __init__(self, stop: StopSignals) -> None:
        self._stop = stop
        self._mutex = threading.Lock()
        self._away = False

    def retry_until_answered(
        self, call: Callable[[], Answer], give_up: Callable[[], bool] = lambda: False
    ) -> Answer | None:
        """Call until the server answers; only in the main thread.

        Args:
            call: Must be safe to repeat: the server may have done it although no answer came.
            give_up: Asked after each failure.

        Returns:
            The answer; None if it gave up.

        Raises:
            redis.RedisError: The server answered, and refused for good.
        """
        while True:
            try:
                answer = call()
            except RedisError as error:
                if not is_away(error):
                    raise
                self.note_error(error)
                if give_up():
                    return None
                self._pause()
            else:
                self.note_answer()
                return answer

    def _pause(self) -> None:
        if self._stop.requested:
            time.sleep(RETRY_SECONDS)  # what is retried even now must not spin
        else:
            self._stop.wait(RETRY_SECONDS)

    def note_error(self, error: RedisError) -> None:
        """Remember that the server did not answer; log it if it answered and refused."""
        if not is_away(error):
            log.error("server refused: %s", error)
            return
        with self._mutex:
            was_away, self._away = self._away, True
        if not was_away:
            log.error("server is away, waiting for it: %s", error)

    def note_answer(self) -> None:
        """Remember that the server answered."""
        with self._mutex:
            was_away, self._away = self._away, False
        if was_away:
            log.warning("server is back")
