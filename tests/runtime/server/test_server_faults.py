"""What is said of each server that cannot be used, asked for real."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from redis import Redis

from spigot.jobs.store.server_check import ServerUnreachableError, check_server
from tests.support.served import served
from tests.support.servers import own_server


@pytest.fixture(scope="module")
def server():
    with own_server() as server:
        yield server


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen, and have each connection answered; yield host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                    with connection:
                        answer(connection)
                except OSError:
                    if listener.fileno() < 0:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@contextmanager
def as_http() -> Iterator[str]:
    handler = type("Quiet", (BaseHTTPRequestHandler,), {"log_message": lambda *words: None})
    with served(HTTPServer(("127.0.0.1", 0), handler)) as address:
        yield address


def as_redis_5(connection: socket.socket) -> None:
    while words := connection.recv(9999).split(b"\r\n"):
        if words == [b""]:
            return
        connection.sendall(b"-ERR unknown command `%s`, with args beginning with: \r\n" % words[2])


def said_of(url: str) -> str:
    with pytest.raises(ServerUnreachableError) as raised:
        check_server(url)
    text = str(raised.value)
    assert "\n" not in text
    assert "s3cret" not in text
    return text


def test_a_wrong_password(server):
    with Redis.from_url(server.url) as admin:
        admin.acl_setuser("ada", enabled=True, passwords=["+right"], reset=True)

    assert "refuses user or password" in said_of(f"{server.url}?username=ada&password=s3cret")


def test_no_password():
    with own_server() as server:
        with Redis.from_url(server.url) as admin:
            admin.config_set("requirepass", "right")

        assert "wants a password" in said_of(server.url)


def test_a_missing_right(server):
    with Redis.from_url(server.url) as admin:
        admin.acl_setuser(
            "bob", enabled=True, passwords=["+s3cret"], reset=True,
            commands=["+@all", "-xadd"], keys=["*"], channels=["*"],
        )  # fmt: skip

    assert "the rights +xadd; add them: ACL SETUSER NAME +xadd" in said_of(
        f"{server.url}?username=bob&password=s3cret"
    )


def test_a_user_that_may_do_nothing(server):
    with Redis.from_url(server.url) as admin:
        admin.acl_setuser(
            "eve", enabled=True, passwords=["+s3cret"], reset=True, commands=["+ping"]
        )

    text = said_of(f"{server.url}?username=eve&password=s3cret")
    assert "does not give its user the rights +set +exists" in text


def test_a_database_that_is_not_there(server):
    assert "no database of that number" in said_of(f"{server.url}?db=999")


def test_a_server_that_is_too_old():
    with answering(as_redis_5) as address:
        text = said_of(f"redis://{address}")

    assert "does not know HELLO: it is too old; use Redis 6.2 or newer, or Valkey" in text


def test_a_server_of_another_protocol():
    with as_http() as address:
        assert "is no Redis server" in said_of(f"redis://{address}")


def test_a_server_without_tls():
    with as_http() as address:
        assert "speaks no TLS" in said_of(f"rediss://{address}")


def test_a_server_with_tls(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def speak_tls(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as spoken:
            spoken.recv(1)

    with answering(speak_tls) as address:
        assert "TLS" in said_of(f"redis://{address}")
        assert "certificate that is not trusted" in said_of(f"rediss://{address}")


def test_a_server_that_hangs(monkeypatch):
    monkeypatch.setattr("spigot.jobs.store.server_check.CHECK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        assert "does not answer in time; see whether it hangs" in said_of(
            f"redis://127.0.0.1:{port}"
        )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://:s3cret@127.0.0.1:1/0", "does not answer: nobody listens there"),
        ("unix:///nosuch/redis.sock?password=s3cret", "does not answer: there is no such file"),
        ("redis://:s3cret@nosuch.invalid", "does not answer: nobody knows its host"),
    ],
)
def test_a_server_that_is_not_there(url, words):
    assert words in said_of(url)
    check_server(url, may_be_away=True)


def test_a_replica(server):
    with Redis.from_url(server.url) as admin:
        admin.replicaof("127.0.0.1", 1)
        text = said_of(server.url)
        check_server(server.url, may_be_away=True)
        admin.replicaof("NO", "ONE")

    assert "is a replica and takes no writes; set the URL of its primary" in text


def test_a_full_server_passes_for_workers_make_room(server):
    with Redis.from_url(server.url) as admin:
        admin.config_set("maxmemory", 1)
        check_server(server.url)
        admin.config_set("maxmemory", 0)
