"""Which thread of a process ran most, by what the kernel counted."""

import os
import threading

from spigot.worker.pool.thread_times import ThreadTime, busiest, ran_between, thread_times
from tests.support.processes import wait_for


def test_a_thread_that_computes_is_the_busiest_of_its_process():
    is_over = threading.Event()

    def compute():
        while not is_over.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        first = thread_times(os.getpid())
        wait_for(lambda: busiest(ran_between(first, thread_times(os.getpid()))) == thread.native_id)
    finally:
        is_over.set()
        thread.join()


def test_what_a_new_thread_ran_before_is_not_counted():
    before, after = {1: ThreadTime(5, 0)}, {1: ThreadTime(7, 0), 2: ThreadTime(100, 0)}

    assert ran_between(before, after) == {1: 2, 2: 0}


def test_no_process_has_no_busiest_thread():
    assert busiest(ran_between({}, {})) is None
