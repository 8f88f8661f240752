"""Decides requests: by what is known, by the server, or alone while the server is away."""

from functools import lru_cache, partial

from redis import Redis, RedisError

from spigot.webapp.door.client_identity import Client

from .charge import Charge
from .circuit_breaker import CircuitBreaker
from .clock import Clock
from .decide import DecideScript
from .decision import Decision, Verdict
from .direct_script import Packed
from .local_fallback import LocalFallback
from .question import Question

MAX_QUESTIONS = 4096
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
        self._question = lru_cache(MAX_QUESTIONS)(partial(Question, key_prefix=key_prefix))
        self._call = lru_cache(MAX_QUESTIONS)(self._pack)

    def decide(self, charges: tuple[Charge, ...], client: Client) -> Decision:
        """Decide one request.

        Args:
            charges: What it costs the rules that it must pass.
            client: Who sends it.
        """
        question = self._question(charges, client)
        if question.forbidding:
            return Decision(Verdict.FORBIDDEN, violated=question.forbidding)
        decision = question.known_refusal(self._clock.monotonic_us()) or self._ask(question)
        if question.shadowed:
            return decision._replace(shadowed=question.shadowed)
        return decision

    def _ask(self, question: Question) -> Decision:
        if not self._breaker.lets_through():
            return self._fallback.decide(question.checks)
        asked_at_us = self._clock.monotonic_us()
        try:
            call = self._call(question, self._clock.server_us())
            decision = self._script.run(call, question.checks)
        except RedisError as error:
            self._breaker.failed(error)
            self._script.disconnect_idle()  # they may hang like this one
            return self._fallback.decide(question.checks)
        self._breaker.succeeded()
        if decision.verdict is not Verdict.ADMITTED:
            known_at_us = self._clock.monotonic_us()
            question.remember(decision, asked_at_us=asked_at_us, known_at_us=known_at_us)
        return decision

    def _pack(self, question: Question, now_us: int | None) -> Packed:
        return self._script.pack(
            question.checks, question.names, prefix=self._key_prefix, now_us=now_us
        )
