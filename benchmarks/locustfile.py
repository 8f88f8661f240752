r"""Clients of two examples, for locust; ``benchmarks/load.py`` runs it and reads the record.

    locust -f benchmarks/locustfile.py --headless --host http://127.0.0.1:8000 \
        --users 30 --spawn-rate 30 --run-time 1m Client

Every user comes from an address of its own, as behind a proxy: the server must trust the machine
that locust runs on (SPIGOT_TRUSTED_PROXIES).
"""

import itertools
import json
import os
from ipaddress import IPv4Address
from typing import Any, TextIO

from locust import FastHttpUser, between, events, task

ANSWERS = (202, 429, 503)
MESSAGE = {"job_priority": 2, "job_type": 2, "job_publisher": "locust", "data": "a message"}
FIRST_ADDRESS = IPv4Address("10.0.0.1")
ABUSER_ADDRESS = "203.0.113.66"

addresses = (str(FIRST_ADDRESS + number) for number in itertools.count())
message_ids = itertools.count(1)


class Visitor(FastHttpUser):
    """What the users have in common."""

    abstract = True
    address = ""

    def send(self, path: str, body: dict[str, Any]) -> None:
        """Post; being told to come back is a good answer, anything else is a failure."""
        headers = {"X-Forwarded-For": self.address}
        name = f"{type(self).__name__} {path}"
        with self.client.post(
            path, json=body, headers=headers, name=name, catch_response=True
        ) as answer:
            if answer.status_code in ANSWERS:
                answer.success()
            else:
                answer.failure(f"answered {answer.status_code}")


class Client(Visitor):
    """Sends about a request a second; one of four is a document, the others are messages."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Take the next address."""
        self.address = next(addresses)

    @task(3)
    def enqueue(self) -> None:
        """Send a message."""
        self.send("/enqueue", {"id": next(message_ids), **MESSAGE})

    @task(1)
    def process_document(self) -> None:
        """Send a document."""
        self.send("/process-doc/", {"doc_id": "doc_1"})


class Abuser(Visitor):
    """Four connections of one address that send messages without a pause."""

    fixed_count = 4
    address = ABUSER_ADDRESS

    @task
    def enqueue(self) -> None:
        """Send a message."""
        self.send("/enqueue", {"id": next(message_ids), **MESSAGE})


@events.init.add_listener
def record_requests(environment: Any, **_: Any) -> None:
    """Write a JSON line per request to the file that LOAD_RECORD names, if it names one."""
    path = os.environ.get("LOAD_RECORD")
    if not path:
        return
    record: TextIO = open(path, "a", buffering=1)  # noqa: SIM115 - open as long as locust runs

    @environment.events.request.add_listener
    def write(start_time: float, name: str, response_time: float, response: Any, **_: Any) -> None:
        line = [round(start_time, 3), name, response.status_code, round(response_time, 2)]
        record.write(json.dumps(line) + "\n")
