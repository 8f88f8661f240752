"""What ``door.py`` measures, each in a process of its own: ``door_subjects.py SUBJECT URL``.

A line with a number on stdin asks for so many requests; the answer is a line of JSON with the
microseconds of each. The imports stand in the functions because the environment of another
library holds nothing of ours, and the other way round.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask

Request = Callable[[], object]

RULES = {
    "burst": {"capacity": 100_000_000, "refill_rate": 1000, "match": "*"},
    "minute": {"limit": 100_000_000, "window": 60, "match": "*"},
    "hour": {"limit": 100_000_000, "window": 3600, "match": "*"},
}
LIMITS = ["100000000 per second", "100000000 per minute", "100000000 per hour"]


def app_without_limits() -> Flask:
    """Return the app that the others are compared with."""
    app = Flask(__name__)
    app.add_url_rule("/", "hello", lambda: "hello")
    return app


def app_with_door(url: str) -> Flask:
    """Return the same app behind the door, with three rules."""
    from spigot.webapp.door.door import Door

    app = app_without_limits()
    Door(app, rules=RULES, redis_url=url)
    return app


def app_with_flask_limiter(url: str) -> Flask:
    """Return the same app behind flask-limiter, with three limits and headers."""
    from flask_limiter import Limiter
    from flask_limiter.util import get_remote_address

    app = app_without_limits()
    Limiter(
        get_remote_address,
        app=app,
        default_limits=LIMITS,
        headers_enabled=True,
        storage_uri=url,
        strategy="fixed-window",
    )
    return app


def request_to(app: Flask) -> Request:
    """Return a call of the app as a server makes it, without the server."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "REMOTE_ADDR": "192.0.2.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
    }

    def start_response(status: str, headers: object, error: object = None) -> None:
        assert status == "200 OK", status

    return lambda: b"".join(app(dict(environ), start_response))  # type: ignore[arg-type]


def bare_script(url: str, *, by_redis_py: bool = False) -> Request:
    """Return the round trip of the door's script and nothing else."""
    from spigot.jobs.store.lua_script import load_script
    from spigot.runtime.server.redis_connection import connect
    from spigot.webapp.door.rate_limits.decide import script_input
    from spigot.webapp.door.rate_limits.rule_cost import RuleCheck, RuleCost
    from spigot.webapp.door.rate_limits.rules_text import build_rules

    redis = connect(url, timeout=1, protocol=2)
    ours = load_script(redis, "spigot.webapp.door.rate_limits", "decide.lua")
    script = redis.register_script(ours.script) if by_redis_py else ours
    rules = build_rules(RULES).by_name.values()
    checks = [RuleCheck.of(RuleCost(rule, 1), "192.0.2.1") for rule in rules]
    keys, args = script_input(checks, ["192.0.2.1"])
    return lambda: script(keys=keys, args=args)


SUBJECTS: dict[str, Callable[[str], Request]] = {
    "no door": lambda url: request_to(app_without_limits()),
    "door": lambda url: request_to(app_with_door(url)),
    "flask-limiter": lambda url: request_to(app_with_flask_limiter(url)),
    "script alone": bare_script,
    "by redis-py": lambda url: bare_script(url, by_redis_py=True),
}


def main(subject: str, url: str) -> None:
    """Measure on demand until stdin ends."""
    request = SUBJECTS[subject](url)
    for line in sys.stdin:
        print(json.dumps([microseconds(request) for _ in range(int(line))]), flush=True)


def microseconds(request: Request) -> float:
    """Return how long one request takes."""
    started = time.perf_counter_ns()
    request()
    return (time.perf_counter_ns() - started) / 1000


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(*sys.argv[1:])
