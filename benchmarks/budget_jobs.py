"""The job of ``budgets.py``: a call of a simulated AI service."""

import os
import time
from http.client import HTTPConnection

from spigot import job_type, report_cost

PORT = int(os.environ.get("UPSTREAM_PORT", "0"))


@job_type("call", bucket="ai", cost=lambda reserved: {"tokens": reserved})
def call(reserved: int, used: int, seconds: float) -> bool:
    """Ask the service; return whether it served all of the call."""
    fine = ask("start", reserved, used)
    for _ in range(4):
        time.sleep(seconds / 4)
        fine = ask("generated", reserved, used) and fine
    fine = ask("end", reserved, used) and fine
    report_cost(tokens=used)
    return fine


def ask(step: str, reserved: int, used: int) -> bool:
    """Ask one step of a call."""
    connection = HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        connection.request("GET", f"/{step}?reserved={reserved}&used={used}")
        return connection.getresponse().status == 200
    finally:
        connection.close()
