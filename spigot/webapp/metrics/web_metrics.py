"""What the web does, counted by each of its processes: decisions at the door, and answers."""

from collections.abc import Iterable, Mapping
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from werkzeug.wsgi import ClosingIterator

OUTCOMES: Final = ("admitted", "refused", "cached", "shadow", "failed_open", "failed_closed")
"""What may become of a request by one rule; ``rate_limits/outcomes.py`` says what each means."""

DECISION_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)


class WebMetrics:
    """Counters of the web.

    With ``metrics_folder`` they are kept in files that all processes share (multiprocess mode of
    prometheus_client).

    Args:
        registry: None if the processes share files.
    """

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._decisions = Counter(
            "spigot_door_decisions",
            "Decisions at the door by rule; failed_open: admitted without the server.",
            ("rule", "outcome"),
            registry=registry,
        )
        self._decision_seconds = Histogram(
            "spigot_door_decision_seconds",
            "Time that the door took for a request.",
            buckets=DECISION_SECONDS,
            registry=registry,
        )
        self._responses = Counter(
            "spigot_http_responses",
            "Answers of the API by status code.",
            ("code",),
            registry=registry,
        )
        self._in_progress = Gauge(
            "spigot_http_requests_in_progress",
            "Requests that hold a thread of a web.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._rules: set[str] = set()

    def init_app(self, app: Flask) -> None:
        """Count the requests of an app."""
        app.after_request(self._count_response)
        app.wsgi_app = self._count_in_progress(app.wsgi_app)  # type: ignore[assignment, method-assign]

    def count_decision(self, outcomes: Mapping[str, str], seconds: float) -> None:
        """Count one decision of the door.

        Args:
            outcomes: By rule.
            seconds: That it took.
        """
        self._decision_seconds.observe(seconds)
        for rule, outcome in outcomes.items():
            self.know_rule(rule)
            self._decisions.labels(rule, outcome).inc()

    def know_rule(self, rule: str) -> None:
        """Show all outcomes of a rule as 0, so that the first of each is an increase."""
        if rule not in self._rules:
            for outcome in OUTCOMES:
                self._decisions.labels(rule, outcome)
            self._rules.add(rule)

    def _count_response(self, response: Response) -> Response:
        self._responses.labels(str(response.status_code)).inc()
        return response

    def _count_in_progress(self, serve: WSGIApplication) -> WSGIApplication:
        """Wrap the app: only here is the end of a stream seen, whoever ends it."""

        def counted(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            self._in_progress.inc()
            try:
                body = serve(environ, start)
            except BaseException:
                self._in_progress.dec()
                raise
            return ClosingIterator(body, self._in_progress.dec)

        return counted
