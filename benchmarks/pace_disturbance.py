"""What disturbs a measurement on purpose: a server that stands still, a machine that computes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

EVERY_SECONDS = 1.0


@contextmanager
def standing_still(url: str, milliseconds: float) -> Iterator[None]:
    """Stop the server for so long once a second, until the block ends; 0 never does."""
    with Redis.from_url(url) as redis:
        server = int(redis.info("server")["process_id"])
    ended = threading.Event()

    def disturb() -> None:
        while not ended.wait(EVERY_SECONDS):
            os.kill(server, signal.SIGSTOP)
            try:
                ended.wait(milliseconds / 1000)
            finally:
                os.kill(server, signal.SIGCONT)

    thread = threading.Thread(target=disturb)
    if milliseconds > 0:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keep so many processors busy until the block ends."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
