"""The measured jobs as Celery knows them; as a program, it enqueues: ``KIND COUNT NUMBER``."""

import os
import sys

import waiting_jobs
from celery import Celery

backend = os.environ["URL"] if "KEEP" in os.environ else None
app = Celery("waiting_jobs_celery", broker=os.environ["URL"], backend=backend)
tasks = {job.__name__: app.task(job) for job in (waiting_jobs.wait, waiting_jobs.nothing)}

if __name__ == "__main__":
    for _ in range(int(sys.argv[2])):
        tasks[sys.argv[1]].delay(int(sys.argv[3]))
