"""Clients of a soak: they post until a job is accepted, and cancel some."""

import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from typing import Any, Self

THREADS = 4
PAUSE_SECONDS = 0.1
CANCELLED = 0.05
"""Share of the jobs that are cancelled."""

LAST_SECONDS = 60
"""How long the last jobs are sent again after the harm."""


class Clients:
    """Threads that post to any of the webs.

    Args:
        addresses: Host and port of each.
        seed: Of what they post.

    Attributes:
        accepted: Ids of the jobs that were answered 202, and when by ``time.monotonic()``.
        answers: How often which status came; 0 for a connection that broke.
    """

    def __init__(self, addresses: list[tuple[str, int]], seed: int) -> None:
        self.accepted: dict[str, float] = {}
        self.answers: Counter[int] = Counter()
        self._addresses = addresses
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed * 100 + number),))
            for number in range(THREADS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, choice: random.Random) -> None:
        while not self._ended.wait(PAUSE_SECONDS * choice.random() * 2):
            job_id = self._post(choice)
            if job_id is not None:
                self.accepted[job_id] = time.monotonic()
                if choice.random() < CANCELLED:
                    self._ask(choice, "DELETE", f"/jobs/{job_id}", None, {})

    def _post(self, choice: random.Random) -> str | None:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        body = _body(choice)
        until = None
        while until is None or time.monotonic() < until:
            status, answer = self._ask(choice, "POST", "/jobs", body, key)
            if status in (200, 202):
                return str(answer["id"])
            if self._ended.is_set() and until is None:
                until = time.monotonic() + LAST_SECONDS
            time.sleep(0.2)
        return None  # it was never accepted, so nothing is owed

    def _ask(
        self, choice: random.Random, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, Any]:
        host, port = choice.choice(self._addresses)
        connection = http.client.HTTPConnection(host, port, timeout=20)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            status, told = answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            status, told = 0, None
        finally:
            connection.close()
        self.answers[status] += 1
        return status, told


def _body(choice: random.Random) -> dict[str, Any]:
    name = uuid.uuid4().hex
    type_name, payload = choice.choice(
        [
            ("echo", {"text": name}),
            ("echo", {"text": name}),
            ("nap", {"seconds": choice.uniform(0, 0.5), "name": name}),
            ("fall", {"name": name, "times": choice.randrange(4)}),
            ("refused", {"name": name, "times": choice.randrange(2), "seconds": 0.2}),
        ]
    )
    return {"type": type_name, "payload": payload, "priority": choice.choice(["high", "default"])}
