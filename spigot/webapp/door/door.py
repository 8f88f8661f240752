"""The door: a request passes the rate limits of its client before anything else happens.

Door(app, rules="rate_limits.json", redis_url="redis://localhost:6379/0")
"""

import logging
import signal
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from os import PathLike
from typing import Any, NamedTuple

import flask
from flask import Flask, Request, Response

from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server_address import check_redis_url
from spigot.webapp.door.rate_limits.clock import Clock
from spigot.webapp.door.rate_limits.decision import Decision, Verdict
from spigot.webapp.door.rate_limits.limiter import Limiter
from spigot.webapp.door.rate_limits.outcomes import BAN, outcomes
from spigot.webapp.door.rate_limits.refusal_counts import RefusalCounts, write_refusals
from spigot.webapp.door.rate_limits.rules_file import RulesFile, rules_from
from spigot.webapp.http.preflight import has_no_view, is_preflight

from .client_address import Network, parse_network
from .client_identity import GLOBAL, UNKNOWN, Client, ClientIdentity
from .headers import rate_limit_headers
from .named_limits import rate_limit
from .rate_limits import keys
from .rate_limits.rule_cost import RuleCost
from .refusal import refusal
from .view_limits import ViewLimits

__all__ = ["Door", "rate_limit"]

log = logging.getLogger(__name__)

DECISION = "spigot.door.decision"
REPORT_TIMEOUT = 1.0
EXEMPT = ("/livez", "/readyz", "/api/status", "/metrics")


class Guarded(NamedTuple):
    """What one app behind a door has of its own."""

    views: ViewLimits
    limiter: Limiter
    refusals: RefusalCounts


class Exemptions(NamedTuple):
    """Which requests the rules leave alone: the admin's, and paths that none of them writes out."""

    paths: frozenset[str]
    is_admin: Callable[[], bool]

    def prefix_of(self, request: Request) -> str:
        """Return what a rule must write out to limit a request; empty: nothing."""
        if request.path in self.paths:
            return request.path
        if request.url_rule and f".{request.endpoint}".endswith(".static"):
            return request.url_rule.rule.partition("<")[0]
        return ""


class Door:
    """A Flask extension that limits how often each client may come in.

    Put it on the app before other extensions: what they do before a request is done only for
    requests that were admitted.

    Args:
        app: None: call ``init_app`` later.
        rules: The file ``rate_limits.json``, which is read again when it changes; or what stands
            in it.
        redis_url: The server that all web processes share. None: that of Spigot's settings, which
            is ``REDIS_URL`` or the server of the ``spigot up`` that runs here.
        key_prefix: Sets applications apart that use one server: all names there begin with it and
            a colon. Processes of one application share it. None: the app's name; empty: that of
            Spigot's own web.
        trusted_proxies: Networks (CIDR) whose ``X-Forwarded-For`` is believed. None: no network;
            without ``redis_url``, those of ``SPIGOT_TRUSTED_PROXIES``.
        ipv6_prefix: Bits of an IPv6 address that make a client, 1 to 128.
        deadline: Seconds that the server may take before a rule's ``on_error`` decides.
        web_processes: Processes that share each limit while the server is away, >= 1.
        is_admin: Tells of the present request whether it has the admin's credentials; it is not
            limited then.
        further_costs: Returns what the present request costs rules beside those of the file.
        exempt: Paths that are limited only by rules that write them out. So are static files.
        on_decision: Called after each decision with the outcome by rule (``outcomes.py`` lists
            them) and the seconds that it took.
        clock: Only tests pass another than the real one.

    Raises:
        RulesError: The rules cannot be used; the message says which rule and field.
        ValueError: ``redis_url``, a network or a number cannot be used.
        OperatorError: There is no ``redis_url``, and a setting cannot be used or no server runs.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        rules: str | PathLike[str] | Mapping[str, Any] | RulesFile,
        redis_url: str | None = None,
        key_prefix: str | None = None,
        trusted_proxies: Iterable[Network | str] | None = None,
        ipv6_prefix: int = 64,
        deadline: float = 0.1,
        web_processes: int = 1,
        is_admin: Callable[[], bool] | None = None,
        further_costs: Callable[[], tuple[RuleCost, ...]] = tuple,
        exempt: Collection[str] = EXEMPT,
        on_decision: Callable[[Mapping[str, str], float], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if isinstance(trusted_proxies, str):
            raise ValueError(f"trusted_proxies must be a list, such as [{trusted_proxies!r}]")
        clock = clock or Clock()
        if redis_url is None:
            redis_url, proxies_of_settings = _server_of_settings()
            trusted_proxies = proxies_of_settings if trusted_proxies is None else trusted_proxies
        else:
            check_redis_url(redis_url)
        # RESP3 would let redis-py stretch its timeouts on a notice of the server's.
        redis = connect(redis_url, timeout=deadline, protocol=2)
        self._limiter = partial(Limiter, redis, web_processes=web_processes, clock=clock)
        self._patient = connect(redis_url, timeout=REPORT_TIMEOUT)
        self._key_prefix = key_prefix
        self._rules = rules_from(rules, clock.monotonic_us)
        proxies = [parse_network(str(network)) for network in trusted_proxies or ()]
        self._identity = ClientIdentity(proxies, ipv6_prefix)
        self._exemptions = Exemptions(frozenset(exempt), is_admin or (lambda: False))
        self._further_costs = further_costs
        self._on_decision = on_decision
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Put the door on an app."""
        app.extensions["door"] = self
        prefix = keys.prefix_of(app.name if self._key_prefix is None else self._key_prefix)
        if self._key_prefix is None:
            log.info("clients of app %r are counted under the prefix %r", app.name, prefix)
        guarded = Guarded(
            ViewLimits(app),
            self._limiter(key_prefix=prefix),
            RefusalCounts(partial(write_refusals, self._patient, prefix=prefix)),
        )
        app.before_request(partial(self._admit, guarded))
        app.after_request(self._tell)

    def rule_names(self) -> list[str]:
        """Return the names of the rules in force."""
        return list(self._rules.in_force().by_name)

    def counted_headers(self) -> list[str]:
        """Return the names of the headers that the rules in force count clients by."""
        return [key.removeprefix("header:") for key in self._rules.in_force().headers]

    def owner(self) -> str:
        """Return the name of whom something belongs to that the present request asks for."""
        return self._identity.owner(flask.request.remote_addr, flask.request.headers)

    def client_address(self) -> str:
        """Return where the present request comes from, behind proxies that are trusted."""
        client = self._identity.of(flask.request.remote_addr, flask.request.headers)
        return str(client.address or UNKNOWN)

    def reload_on_sighup(self) -> None:
        """Look at the rules file after SIGHUP, in this process; call it in the main thread."""
        if isinstance(rules := self._rules, RulesFile):
            signal.signal(signal.SIGHUP, lambda number, frame: rules.check_now())

    def _admit(self, app: Guarded) -> Response | None:
        started = time.perf_counter()
        request: Request = flask.request._get_current_object()  # type: ignore[attr-defined]
        rules = self._rules.in_force()
        app.views.warn_of_faults(rules)
        exempt = self._exemptions.prefix_of(request)
        preflight = is_preflight(request) and has_no_view(request)
        named = app.views.of(request.endpoint, request.method)
        costs = rules.costs(request.method, request.path, named, exempt, preflight=preflight)
        if ((exempt or preflight) and not costs) or self._exemptions.is_admin():
            return None
        client = self._identity.of(request.remote_addr, request.headers, rules.headers)
        costs = rules.times(costs, app.views.requests_in(request.endpoint))
        costs += self._further_costs()
        decision = app.limiter.decide(costs, client)
        request.environ[DECISION] = decision
        _count(app.refusals, decision, client)
        if self._on_decision:
            self._on_decision(outcomes(decision), time.perf_counter() - started)
        return None if decision.verdict is Verdict.ADMITTED else refusal(decision)

    @staticmethod
    def _tell(response: Response) -> Response:
        decision: Decision | None = flask.request.environ.get(DECISION)
        for name, value in rate_limit_headers(decision) if decision else ():
            response.headers.add(name, value)
        return response


def _server_of_settings() -> tuple[str, Iterable[Network]]:
    """Return the URL of the door's server and the trusted proxies, as Spigot's own web has them."""
    from spigot.runtime.server.server_url import find_server_url  # a given redis_url needs neither
    from spigot.runtime.settings import load_settings

    settings = load_settings()
    return settings.limits_redis_url or find_server_url(settings), settings.trusted_proxies


def _count(refusals: RefusalCounts, decision: Decision, client: Client) -> None:
    if decision.verdict is Verdict.BANNED:
        refusals.add(client.ip, BAN)
    elif decision.verdict is not Verdict.UNDECIDED:
        for check in decision.violated:
            who = client.ip if check.client == GLOBAL else check.client
            refusals.add(who, check.rule.name)
