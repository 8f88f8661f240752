import hashlib
from ipaddress import ip_address, ip_network

import pytest
from werkzeug.datastructures import Headers

from spigot.webapp.door.client_identity import ClientIdentity, name_of_address, parse_client

KEYS = ("header:x-api-key", "header:x-tenant")
SECRET = hashlib.sha256(b"secret").hexdigest()[:32]


@pytest.fixture
def identity():
    return ClientIdentity([ip_network("10.0.0.0/8")], ipv6_prefix=64)


@pytest.mark.parametrize(
    ("address", "prefix", "name"),
    [
        ("192.0.2.1", 64, "192.0.2.1"),
        ("2001:db8::1", 64, "2001:db8::/64"),
        ("2001:db8:0:0:1:2:3:4", 64, "2001:db8::/64"),
        ("2001:db8:0:1::1", 64, "2001:db8:0:1::/64"),
        ("2001:db8:0:1::1", 56, "2001:db8::/56"),
        ("2001:db8::1", 128, "2001:db8::1/128"),
    ],
)
def test_whoever_has_one_address_of_a_prefix_has_all(address, prefix, name):
    assert name_of_address(ip_address(address), prefix) == name


def test_a_rotation_within_the_prefix_is_one_client(identity):
    names = {identity.of(f"2001:db8::{number:x}", Headers()).ip for number in range(500)}

    assert names == {"2001:db8::/64"}


def test_like_requests_are_of_the_same_client(identity):
    forwarded = Headers({"X-Forwarded-For": "192.0.2.1"})

    assert identity.of("10.0.0.1", forwarded) is identity.of("192.0.2.1", Headers())


def test_peers_without_an_address_are_one_client(identity):
    assert identity.of(None, Headers()) is identity.of("", Headers({"X-Forwarded-For": "1.2.3.4"}))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (("ip",), "192.0.2.1"),
        (("global",), "global"),
        (("header:x-api-key",), f"header:x-api-key=sha256:{SECRET}"),
        (("header:x-tenant",), "192.0.2.1"),  # no header: the IP
        (("ip", "header:x-api-key"), f"192.0.2.1,header:x-api-key=sha256:{SECRET}"),
        (("global", "header:x-tenant"), "global,192.0.2.1"),
    ],
)
def test_a_rule_counts_a_client_by_its_key(identity, key, name):
    headers = Headers({"X-API-Key": "secret", "X-Tenant": ""})

    assert identity.of("192.0.2.1", headers, KEYS).name(key) == name


def test_the_value_of_a_header_is_kept_nowhere(identity):
    client = identity.of("192.0.2.1", Headers({"X-API-Key": "secret"}), KEYS)

    assert client.names == ("192.0.2.1", f"header:x-api-key=sha256:{SECRET}")
    assert "secret" not in repr(vars(client))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::/64", "2001:db8::/64"),
        ("header:X-API-Key=secret", f"header:x-api-key=sha256:{SECRET}"),
        (f"header:x-api-key=sha256:{SECRET}", f"header:x-api-key=sha256:{SECRET}"),
    ],
)
def test_an_operator_names_a_client(text, name):
    assert parse_client(text, 64) == name


@pytest.mark.parametrize("value", ["ü", "a=b", " x"])
def test_an_operator_and_a_request_name_the_same_client(identity, value):
    as_wsgi_passes_it = Headers({"X-API-Key": value.encode().decode("latin-1")})

    client = identity.of("192.0.2.1", as_wsgi_passes_it, KEYS)

    assert client.names[1] == parse_client(f"header:X-API-Key={value}", 64)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "10.0.0.0/8",
        "192.0.2.1/32",
        "2001:db8::/56",
        "header:x",
        "header:x=",
        "x=y",
    ],
)
def test_what_names_no_client_is_refused(text):
    with pytest.raises(ValueError, match="give an IP address or header:NAME=VALUE"):
        parse_client(text, 64)


def test_a_neighbour_that_is_not_trusted_and_writes_the_header_is_told_of_once(identity, caplog):
    forwarded = Headers({"X-Forwarded-For": "192.0.2.1"})

    for peer in ("8.8.8.8", "10.0.0.1", "192.168.0.1", "127.0.0.1"):
        identity.of(peer, forwarded)
        identity.of(peer, Headers())

    (record,) = caplog.records
    assert record.getMessage().startswith("X-Forwarded-For from 192.168.0.1 is ignored")
