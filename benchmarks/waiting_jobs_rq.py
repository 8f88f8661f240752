"""Enqueues the measured jobs for RQ: ``KIND COUNT NUMBER``."""

import os
import sys

from redis import Redis
from rq import Queue

kind, count, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
queue = Queue(connection=Redis.from_url(os.environ["URL"]))
queue.enqueue_many([Queue.prepare_data(f"waiting_jobs.{kind}", [number]) for _ in range(count)])
