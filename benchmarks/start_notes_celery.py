"""The measured job as Celery knows it; as a program, it enqueues as many as it is told."""

import os
import sys

from celery import Celery
from start_notes import note

app = Celery("start_notes_celery", broker=os.environ["URL"])
app.conf.task_ignore_result = True


@app.task(rate_limit=os.environ["RATE"])
def note_start() -> None:
    """Note the start."""
    note()


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        note_start.delay()
