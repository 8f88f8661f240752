"""The measured jobs as Huey knows them; as a program, it enqueues: ``KIND COUNT NUMBER``."""

import os
import sys

import waiting_jobs
from huey import RedisHuey

huey = RedisHuey(url=os.environ["URL"])
tasks = {job.__name__: huey.task()(job) for job in (waiting_jobs.wait, waiting_jobs.nothing)}

if __name__ == "__main__":
    for _ in range(int(sys.argv[2])):
        tasks[sys.argv[1]](int(sys.argv[3]))
