from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spigot.webapp.door.client_address import follow_back, is_within, parse_address, parse_network

PROXIES = tuple(map(ip_network, ("10.0.0.0/8", "2001:db8:ffff::/48")))


def seen(peer, forwarded_for="", proxies=PROXIES):
    return str(follow_back(peer, forwarded_for, proxies).address)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7, 192.0.2.1", "192.0.2.1"),  # the left one anyone may write
        ("10.0.0.1", "192.0.2.1, 10.0.0.2,10.0.0.3", "192.0.2.1"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.2", "10.0.0.9"),  # all are ours: the left-most
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("2001:db8:ffff::1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1"),
        ("10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", " 192.0.2.1\t", "192.0.2.1"),
    ],
)
def test_our_proxies_are_seen_past(peer, forwarded_for, client):
    assert seen(peer, forwarded_for) == client


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("192.0.2.1:5001", "192.0.2.1"),
        ("192.0.2.1:0", "192.0.2.1"),
        ("[192.0.2.1]:5001", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:0DB8:0:0:0:0:0:1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]", "fe80::1"),
        ("[fe80::1%25eth0]:443", "fe80::1"),
        ("[::ffff:192.0.2.1]:443", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ('"192.0.2.1"', "192.0.2.1"),
        ('"192.0.2.1:5001"', "192.0.2.1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("198.51.100.7, 192.0.2.1:5001 , 10.0.0.2:80,[2001:db8:ffff::2]:80", "192.0.2.1"),
        ("[2001:db8:ffff::2]:80, 10.0.0.2:80", "2001:db8:ffff::2"),
        (
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%interface-of-16-c]:65535",
            "f" * 4 + ":ffff" * 7,
        ),
    ],
)
def test_proxies_write_ports_brackets_zones_and_quotes(forwarded_for, client):
    assert seen("10.0.0.1", forwarded_for) == client


@pytest.mark.parametrize(
    ("forwarded_for", "unread"),
    [
        ("192.0.2.1", ""),
        ("10.0.0.2", ""),
        ("_a", "_a"),
        ("192.0.2.1, unknown, 10.0.0.2", "192.0.2.1, unknown"),
    ],
)
def test_what_stands_instead_of_an_address_is_kept(forwarded_for, unread):
    assert follow_back("10.0.0.1", forwarded_for, PROXIES).unread == unread


@pytest.mark.parametrize("forwarded_for", ["192.0.2.9", "10.0.0.1", "192.0.2.9, 10.0.0.1", "x"])
def test_a_header_from_a_stranger_changes_nothing(forwarded_for):
    assert seen("192.0.2.1", forwarded_for) == "192.0.2.1"
    assert seen("10.0.0.1", forwarded_for, proxies=()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("192.0.2.1, garbage", "10.0.0.1"),
        ("192.0.2.1,", "10.0.0.1"),
        ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("garbage, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:", "10.0.0.1"),
        ("192.0.2.1:http", "10.0.0.1"),
        ("192.0.2.1:65536", "10.0.0.1"),
        ("192.0.2.1:80:80", "10.0.0.1"),
        ("192.0.2:80", "10.0.0.1"),
        ("192.0.2.01:80", "10.0.0.1"),
        ("[2001:db8::1", "10.0.0.1"),
        ("2001:db8::1]:443", "10.0.0.1"),
        ("[2001:db8::1]443", "10.0.0.1"),
        ("[2001:db8::1]:", "10.0.0.1"),
        ("[[2001:db8::1]]", "10.0.0.1"),
        ("[]:443", "10.0.0.1"),
        ("[unknown]:443", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("_hidden", "10.0.0.1"),
        ("_hidden:_port", "10.0.0.1"),
        ("192.0.2.1, _hidden, 10.0.0.2:80", "10.0.0.2"),
        ("192.0.2.1, , 10.0.0.2", "10.0.0.2"),
        (" ", "10.0.0.1"),
        ('"', "10.0.0.1"),
        ('"192.0.2.1', "10.0.0.1"),
        ('192.0.2.1"', "10.0.0.1"),
        ("for=192.0.2.1", "10.0.0.1"),
        ("0300.0.2.1", "10.0.0.1"),
        ("0xc0.0.2.1", "10.0.0.1"),
        ("3221225985", "10.0.0.1"),
        ("192.0.2.1\v", "10.0.0.1"),
        ("192.0.2.256", "10.0.0.1"),
        ("192.0.2.01", "10.0.0.1"),
        ("192.0.2.1%eth0", "10.0.0.1"),
        ("\uff11\uff19\uff12.0.2.1", "10.0.0.1"),
        ("192.0.2.1\x00", "10.0.0.1"),
        ("2001:db8::1%" + "x" * 100, "10.0.0.1"),
        ("9" * 8000, "10.0.0.1"),
        ("," * 8000, "10.0.0.1"),
    ],
)
def test_garbage_ends_the_walk_at_the_last_good_hop(forwarded_for, client):
    assert seen("10.0.0.1", forwarded_for) == client


@pytest.mark.parametrize("peer", [None, "", "unix:", "not an address"])
def test_a_peer_may_have_no_address(peer):
    assert follow_back(peer, "192.0.2.1", PROXIES) == (None, 0, "")


@given(st.text(), st.sampled_from(["10.0.0.1", "192.0.2.1", "2001:db8::1"]))
def test_no_header_crashes(forwarded_for, peer):
    assert follow_back(peer, forwarded_for, PROXIES).address is not None


def test_a_zone_makes_no_other_client():
    assert parse_address("fe80::1%eth0") == parse_address("fe80::1%eth1") == ip_address("fe80::1")


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.1.2.3", "10.1.2.3/32"),
        ("::/0", "::/0"),
        ("::ffff:0.0.0.0/95", "::fffe:0:0/95"),
    ],
)
def test_a_network(text, network):
    assert str(parse_network(text)) == network


def test_an_address_is_within_networks_of_its_version():
    assert is_within(ip_address("10.1.2.3"), PROXIES)
    assert not is_within(ip_address("11.1.2.3"), PROXIES)
    assert not is_within(ip_address("::a01:203"), PROXIES)
    assert not is_within(None, PROXIES)
