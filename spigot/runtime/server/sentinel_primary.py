"""The primary that sentinels know: which server it is now, and when it is another one.

A sentinel that was cut off may tell of a primary that is none any more. Each failover has a
number, the *epoch*: an answer with a lower one than was seen before is believed only when most of
the sentinels have answered, and none knows of a later one.
Source: https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

import logging
from dataclasses import dataclass
from functools import cache
from typing import Any

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.exceptions import AuthenticationError, ConnectionError, RedisError, ResponseError
from redis.retry import Retry

from spigot.runtime.sentinels import Sentinels

from .primary_connection import Primary

log = logging.getLogger(__name__)

ASK_SECONDS = 0.5
"""How long a sentinel may take to connect, and to answer. One that did not is asked last."""


class PrimaryUnknownError(ConnectionError):
    """No sentinel says where the primary is; the message says why, and names no secret.

    Attributes:
        problems: What each said, by its address.
        is_refusal: Whether each has answered, so that time will not mend it.
    """

    def __init__(self, name: str, problems: dict[str, RedisError]) -> None:
        self.problems = problems
        self.is_refusal = all(map(_is_refusal, problems.values()))
        said = ", ".join(f"{sentinel}: {error}" for sentinel, error in problems.items())
        super().__init__(f"no sentinel tells the primary {name} ({said})")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sentinel says.

    Attributes:
        epoch: Number of the failover that made this server the primary.
        host: Where it is.
        port: The same.
    """

    epoch: int
    host: str
    port: int

    @property
    def place(self) -> tuple[str, int]:
        """Where the primary is."""
        return self.host, self.port


class SentinelPrimary(Primary):
    """The primary that sentinels know by one name.

    Args:
        sentinels: Whom to ask.
    """

    def __init__(self, sentinels: Sentinels) -> None:
        super().__init__()
        self._name = sentinels.name
        self._sentinels = tuple(_Sentinel(sentinels, address) for address in sentinels.addresses)
        self._known: Answer | None = None

    def locate(self) -> tuple[str, int]:
        """Ask until a sentinel's answer can be believed; return host and port.

        Raises:
            PrimaryUnknownError: There is none.
        """
        answers: list[Answer] = []
        for sentinel in self._sentinels:
            self._ask(sentinel, answers)
            if answers and (self._known is None or answers[-1].epoch >= self._known.epoch):
                break
        return self._believe(answers).place

    def look(self) -> None:
        """Ask all sentinels, and end what is connected to another server than the primary.

        Calls that wait for an answer of such a server end with an error.

        Raises:
            PrimaryUnknownError: None answers.
        """
        answers: list[Answer] = []
        for sentinel in self._sentinels:
            self._ask(sentinel, answers)
        self._believe(answers)

    def _ask(self, sentinel: "_Sentinel", answers: list[Answer]) -> None:
        try:
            answers.append(sentinel.ask(self._name))
        except RedisError as error:
            log.debug("%s does not say where %s is: %s", sentinel, self._name, error)
            sentinel.problem = error
            others = [one for one in self._sentinels if one is not sentinel]
            self._sentinels = (*others, sentinel)

    def _believe(self, answers: list[Answer]) -> Answer:
        known = self._known
        if not answers:
            raise PrimaryUnknownError(
                self._name, {str(one): one.problem for one in self._sentinels}
            )
        newest = max(answers, key=lambda answer: answer.epoch)
        if known and newest.epoch < known.epoch and 2 * len(answers) <= len(self._sentinels):
            return known
        self._known = newest
        if known and newest.place != known.place:
            log.warning("the primary is %s:%d now, and was %s:%d", *newest.place, *known.place)
            self.end(self.term)
            self.sever()
        return newest


class _Sentinel:
    """One sentinel.

    Attributes:
        problem: Why it gave no answer the last time.
    """

    def __init__(self, sentinels: Sentinels, address: tuple[str, int]) -> None:
        self._address = address
        self.problem = RedisError("was not asked")
        credentials = dict(sentinels.credentials)
        self._client = _client(sentinels, address, credentials)
        self._open_client = _client(sentinels, address, {}) if credentials else None

    def __str__(self) -> str:
        host, port = self._address
        return f"{host}:{port}"

    def ask(self, name: str) -> Answer:
        """Ask where the primary is.

        Raises:
            redis.RedisError: It does not answer, or does not know.
        """
        try:
            return _ask(self._client, name)
        except AuthenticationError:  # user and password may be the primary's alone
            if self._open_client is None:
                raise
            return _ask(self._open_client, name)


def _is_refusal(error: RedisError) -> bool:
    return isinstance(error, (AuthenticationError, ResponseError))


def _ask(client: Redis, name: str) -> Answer:
    # during a failover the first tells of the new primary earlier than the second
    with client.pipeline(transaction=False) as questions:
        ask: Any = questions.execute_command  # which redis-py leaves untyped
        ask("SENTINEL GET-MASTER-ADDR-BY-NAME", name)
        ask("SENTINEL MASTER", name)
        place, state = questions.execute(raise_on_error=False)
    if isinstance(state, RedisError):
        raise state
    host, port = place
    return Answer(int(state["config-epoch"]), host.decode(), int(port))


def _client(sentinels: Sentinels, address: tuple[str, int], credentials: dict[str, Any]) -> Redis:
    tls = sentinels.tls
    host, port = address
    return Redis.from_pool(
        ConnectionPool(
            connection_class=Connection if tls is None else SSLConnection,
            host=host,
            port=port,
            socket_timeout=ASK_SECONDS,
            socket_connect_timeout=ASK_SECONDS,
            retry=Retry(NoBackoff(), 0),
            **dict(tls or ()),
            **credentials,
        )
    )


@cache
def primary_of(sentinels: Sentinels) -> SentinelPrimary:
    """Return what all connections of this process to one primary share."""
    return SentinelPrimary(sentinels)
