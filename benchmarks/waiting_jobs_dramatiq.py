"""The measured jobs as Dramatiq knows them; as a program, it enqueues: ``KIND COUNT NUMBER``."""

import os
import sys

import dramatiq
import waiting_jobs
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=os.environ["URL"]))


@dramatiq.actor
def wait(number: int) -> None:
    """Wait in a thread; Dramatiq warns of results that nothing keeps."""
    waiting_jobs.wait(number)


@dramatiq.actor
def nothing(number: int) -> None:
    """Do nothing in a thread."""
    waiting_jobs.nothing(number)


if __name__ == "__main__":
    actor = {"wait": wait, "nothing": nothing}[sys.argv[1]]
    for _ in range(int(sys.argv[2])):
        actor.send(int(sys.argv[3]))
