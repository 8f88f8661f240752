import socket
import ssl
import subprocess
import threading
import time
from contextlib import suppress

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from spigot.jobs.store.server_check import ServerUnreachableError, check_server
from spigot.runtime.sentinels import Sentinels
from spigot.runtime.server import sentinel_primary
from spigot.runtime.server.redis_connection import connect, sibling
from spigot.runtime.server.sentinel_primary import (
    Answer,
    PrimaryUnknownError,
    SentinelPrimary,
    primary_of,
)
from spigot.runtime.server_address import parse_server_url
from tests.support.processes import wait_for
from tests.support.sentinel_stack import Node

OLD, NEW = Answer(1, "old", 1), Answer(2, "new", 2)
AWAY = RedisConnectionError("refused")


@pytest.fixture
def told(monkeypatch):
    """What each sentinel answers, by its host; the primary that they know; who was asked."""
    answers: dict[str, object] = {}
    asked: list[str] = []

    def ask(sentinel: object, name: str) -> Answer:
        host = str(sentinel).partition(":")[0]
        asked.append(host)
        answer = answers[host]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(sentinel_primary._Sentinel, "ask", ask)
    return answers, SentinelPrimary(Sentinels((("a", 1), ("b", 1), ("c", 1)), "jobs")), asked


def test_the_first_answer_is_enough_and_the_silent_are_asked_last(told):
    answers, primary, asked = told
    answers.update(a=AWAY, b=OLD, c=OLD)

    assert primary.locate() == ("old", 1)
    assert primary.locate() == ("old", 1)

    assert asked == ["a", "b", "b"]
    assert primary.term == 0


def test_another_primary_ends_the_term(told):
    answers, primary, _ = told
    answers.update(a=OLD, b=OLD, c=NEW)
    assert primary.locate() == ("old", 1)

    primary.look()

    assert primary.term == 1
    assert primary.locate() == ("new", 2)
    primary.look()
    assert primary.term == 1


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ({"a": OLD, "b": NEW, "c": NEW}, ("new", 2)),  # a was cut off and does not know
        ({"a": OLD, "b": AWAY, "c": NEW}, ("new", 2)),
        ({"a": OLD, "b": AWAY, "c": AWAY}, ("new", 2)),  # one is not most of them
        ({"a": OLD, "b": AWAY, "c": OLD}, ("old", 1)),  # they were set up anew
        ({"a": OLD, "b": OLD, "c": OLD}, ("old", 1)),
    ],
)
def test_an_answer_of_yesterday_is_believed_only_if_most_agree(told, later, expected):
    answers, primary, _ = told
    answers.update(a=NEW, b=NEW, c=NEW)
    assert primary.locate() == ("new", 2)

    answers.update(later)

    assert primary.locate() == expected


@pytest.mark.parametrize(
    ("problems", "is_refusal"),
    [
        ([AWAY, AWAY, AWAY], False),
        ([ResponseError("No such master with that name"), AWAY, AWAY], False),
        ([ResponseError("No such master with that name")] * 3, True),
    ],
)
def test_a_primary_that_nobody_knows(told, problems, is_refusal):
    answers, primary, _ = told
    answers.update(zip("abc", problems, strict=True))

    with pytest.raises(PrimaryUnknownError) as raised:
        primary.locate()

    assert raised.value.is_refusal == is_refusal


@pytest.fixture(scope="module")
def nodes():
    """A primary with the password ``pw``, and sentinels: an open one, and two that want one."""
    primary = Node('save ""\nrequirepass pw\n')
    watch = f"sentinel monitor jobs 127.0.0.1 {primary.port} 1\n"
    own = {"open": "", "same": "requirepass pw\n", "other": "requirepass s3cret\n"}
    nodes = {name: Node(watch + lines, "--sentinel") for name, lines in own.items()}
    for node in nodes.values():
        wait_for(lambda node=node: is_listening(node.port))
    wait_for(lambda: is_listening(primary.port))
    yield {**nodes, "primary": primary}
    for node in [*nodes.values(), primary]:
        node.close()


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("sentinel", "options"),
    [("open", ""), ("same", ""), ("other", "?sentinel_password=s3cret")],
)
def test_passwords_of_primary_and_sentinels(nodes, sentinel, options):
    url = f"sentinel://:pw@127.0.0.1:{nodes[sentinel].port}/jobs/1{options}"

    check_server(url)

    with connect(url, timeout=2) as redis, sibling(redis, timeout=1) as same:
        redis.set("a", "1")
        assert same.get("a") == b"1"
        redis.flushdb()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "sentinel://:pw@127.0.0.1:{other}/jobs",
            "has no primary: the sentinel 127.0.0.1:{other} wants a password",
        ),
        ("sentinel://127.0.0.1:{open}/jobs", "wants a password"),
        ("sentinel://:pw@127.0.0.1:{open}/nosuch", "knows no primary of that name"),
        ("sentinel://127.0.0.1:1/jobs", "127.0.0.1:1 does not answer: nobody listens there"),
        ("redis://127.0.0.1:{open}/0", "it may be a sentinel; write sentinel://"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(nodes, url, words):
    ports = {name: node.port for name, node in nodes.items()}
    url, words = url.format(**ports), words.format(**ports)

    with pytest.raises(ServerUnreachableError) as raised:
        check_server(url)
    assert words in str(raised.value)
    assert "pw" not in str(raised.value).replace("password", "")
    assert "\n" not in str(raised.value)

    if "127.0.0.1:1/" in url:
        check_server(url, may_be_away=True)  # they may come
    else:
        with pytest.raises(ServerUnreachableError):
            check_server(url, may_be_away=True)


def test_a_call_that_waits_ends_when_another_server_is_the_primary(nodes):
    url = f"sentinel://:pw@127.0.0.1:{nodes['open'].port}/jobs"
    redis = connect(url, timeout=30)
    ended: list[object] = []

    def wait_for_nothing() -> None:
        try:
            redis.blpop(["nosuch"], timeout=25)
        except RedisConnectionError as error:
            ended.append(error)

    thread = threading.Thread(target=wait_for_nothing)
    thread.start()
    wait_for(lambda: nodes_blocked(url) == 1)
    primary = primary_of(parse_server_url(url)["sentinels"])
    began = time.monotonic()

    primary._believe([Answer(9, "127.0.0.1", 1)])
    thread.join()

    assert ended
    assert time.monotonic() - began < 1
    primary._known = None  # other tests ask the same sentinel
    redis.close()


def nodes_blocked(url: str) -> int:
    with connect(url, timeout=2) as redis:
        return redis.info("clients")["blocked_clients"]


def test_with_tls_sentinels_and_primary_speak_it(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    primary = Node('save ""\n')
    with Tls(primary.port, key, certificate) as secured:
        sentinel = Node(f"sentinel monitor jobs 127.0.0.1 {secured.port} 1\n", "--sentinel")
        wait_for(lambda: is_listening(sentinel.port))
        with Tls(sentinel.port, key, certificate) as asked:
            check_server(f"sentinels://127.0.0.1:{asked.port}/jobs?ssl_ca_certs={certificate}")
            with pytest.raises(ServerUnreachableError, match="certificate that is not trusted"):
                check_server(f"sentinels://127.0.0.1:{asked.port}/jobs")
        sentinel.close()
    primary.close()


class Tls:
    """Speaks TLS on a port, and passes on to another what it is told."""

    def __init__(self, target: int, key: object, certificate: object) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(str(certificate), str(key))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []  # clients keep their connections to sentinels
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> "Tls":
        return self

    def __exit__(self, *error: object) -> None:
        for one in [self._listener, *self._open]:
            with suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            try:
                with self._context.wrap_socket(client, server_side=True) as spoken:
                    self._open.append(spoken)
                    while question := spoken.recv(1 << 16):
                        server.sendall(question)
                        spoken.sendall(server.recv(1 << 16))  # small enough to come at once
            except OSError:  # a handshake that failed
                return
