"""Decides requests: by what is known, by the server, or alone while the server is away."""

from functools import lru_cache, partial

from redis import Redis, RedisError

from spigot.webapp.door.client_identity import Client

from .circuit_breaker import CircuitBreaker
from .client_checks import ClientChecks
from .clock import Clock
from .decide import DecideScript
from .decision import Decision, Verdict
from .direct_script import Packed
from .local_fallback import LocalFallback
from .rule_cost import RuleCost

MAX_CLIENTS = 4096
"""How many refusals are known at most, those of the clients that asked last."""


class Limiter:
    """Decides each request with at most one round trip.

    Args:
        redis: Tells how to reach the server that all web processes share. Its timeout is the
            deadline of a decision.
        web_processes: Processes that share each limit while the server is away, >= 1.
        clock: The clocks to decide by.
        key_prefix: What all names on the server begin with.
    """

    def __init__(
        self, redis: Redis, *, web_processes: int, clock: Clock, key_prefix: str = ""
    ) -> None:
        self._clock = clock
        self._key_prefix = key_prefix
        self._script = DecideScript(redis)
        self._breaker = CircuitBreaker(clock.monotonic_us)
        self._fallback = LocalFallback(web_processes, clock.monotonic_us)
        self._client_checks = lru_cache(MAX_CLIENTS)(partial(ClientChecks, key_prefix=key_prefix))
        self._call = lru_cache(MAX_CLIENTS)(self._pack)

    def decide(self, costs: tuple[RuleCost, ...], client: Client) -> Decision:
        """Decide one request.

        Args:
            costs: What it costs the rules that it must pass.
            client: Who sends it.
        """
        client_checks = self._client_checks(costs, client)
        if client_checks.forbidding:
            return Decision(Verdict.FORBIDDEN, violated=client_checks.forbidding)
        known = client_checks.known_refusal(self._clock.monotonic_us())
        decision = known or self._ask(client_checks)
        if client_checks.shadowed:
            return decision._replace(shadowed=client_checks.shadowed)
        return decision

    def _ask(self, client_checks: ClientChecks) -> Decision:
        if not self._breaker.lets_through():
            return self._fallback.decide(client_checks.checks)
        asked_at_us = self._clock.monotonic_us()
        try:
            call = self._call(client_checks, self._clock.server_us())
            decision = self._script.run(call, client_checks.checks)
        except RedisError as error:
            self._breaker.failed(error)
            self._script.disconnect_idle()  # they may hang like this one
            return self._fallback.decide(client_checks.checks)
        self._breaker.succeeded()
        if decision.verdict is not Verdict.ADMITTED:
            known_at_us = self._clock.monotonic_us()
            client_checks.remember(decision, asked_at_us=asked_at_us, known_at_us=known_at_us)
        return decision

    def _pack(self, client_checks: ClientChecks, now_us: int | None) -> Packed:
        return self._script.pack(
            client_checks.checks, client_checks.names, prefix=self._key_prefix, now_us=now_us
        )
