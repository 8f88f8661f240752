import socket
from pathlib import Path

import pytest

from spigot.runtime.listening_socket import ListenError, free_port, listen, local_url


def test_listens_where_it_was_told():
    with listen("127.0.0.1", 0) as listener:
        socket.create_connection(listener.getsockname()).close()


def test_a_taken_port_is_refused_at_once():
    with (
        listen("127.0.0.1", 0) as listener,
        pytest.raises(ListenError, match="Address already in use; choose another"),
    ):
        listen("127.0.0.1", listener.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host):
    with pytest.raises(ListenError, match=f"cannot listen on {host} port 0: "):
        listen(host, 0)


def test_a_port_can_be_used_again_right_after_a_stop():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            listener.accept()[0].close()

    listen("127.0.0.1", port).close()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("fe80::1", "http://[fe80::1]:80"),
    ],
)
def test_the_url_is_one_that_this_machine_can_use(host, url):
    assert local_url(host, 80) == url


def test_a_free_port_is_not_listened_on():
    listen("127.0.0.1", free_port()).close()


def test_a_free_port_is_none_that_the_system_gives_to_others_meanwhile():
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert free_port() < lowest
