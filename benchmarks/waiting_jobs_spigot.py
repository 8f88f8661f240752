"""The measured jobs as Spigot knows them: ``SPIGOT_APPS=waiting_jobs_spigot``.

As a program, it enqueues jobs: ``KIND COUNT NUMBER``, where the number is what each job is given.
"""

import asyncio
import sys

import waiting_jobs

from spigot import enqueue_many, job_type


@job_type("wait")
def wait(number: int) -> int:
    """Wait in a thread."""
    return waiting_jobs.wait(number)


@job_type("nothing")
def nothing(number: int) -> int:
    """Do nothing in a thread."""
    return waiting_jobs.nothing(number)


@job_type("wait_async")
async def wait_async(number: int) -> int:
    """Wait on the loop."""
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return len(answer)


@job_type("nothing_async")
async def nothing_async(number: int) -> int:
    """Do nothing on the loop."""
    return waiting_jobs.nothing(number)


if __name__ == "__main__":
    enqueue_many(sys.argv[1], [{"number": int(sys.argv[3])}] * int(sys.argv[2]))
