import pytest
from redis.connection import SSLConnection, UnixDomainSocketConnection

from spigot.runtime.server_address import ServerUrlError, parse_server_url, with_password
from spigot.runtime.settings import SettingsError, load_settings
from tests.support.warm_python import warm_python

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", {}),
        ("redis://h", {"host": "h"}),
        ("redis://h:6380/2", {"host": "h", "port": 6380, "db": 2}),
        ("redis://h/", {"host": "h"}),
        ("redis://[::1]:6379/0", {"host": "::1", "port": 6379, "db": 0}),
        ("redis://:p@h", {"host": "h", "password": "p"}),
        ("redis://u:p@h", {"host": "h", "username": "u", "password": "p"}),
        ("redis://u:p:q@h", {"host": "h", "username": "u", "password": "p:q"}),
        (
            "redis://u:p%40ss%2Fw%23rd%3A%3F%25%20%C3%A9&=+@h",
            {"host": "h", "username": "u", "password": "p@ss/w#rd:?% é&=+"},
        ),
        ("redis://h?db=3", {"host": "h", "db": 3}),
        ("redis://h/1?client_name=a%40b", {"host": "h", "db": 1, "client_name": "a@b"}),
        ("redis://h?health_check_interval=30", {"host": "h", "health_check_interval": 30}),
        ("redis://h?socket_keepalive=false", {"host": "h", "socket_keepalive": False}),
        (" redis://h\n", {"host": "h"}),
        ("unix:///run/a@b.sock?db=1", {"path": "/run/a@b.sock", "db": 1}),
        ("unix:///run/r.sock?password=x", {"path": "/run/r.sock", "password": "x"}),
        ("unix://u:p@/run/r.sock", {"path": "/run/r.sock", "username": "u", "password": "p"}),
        (
            "rediss://h?ssl_ca_certs=/etc/ca.pem&ssl_cert_reqs=none&ssl_check_hostname=no",
            {
                "host": "h",
                "ssl_ca_certs": "/etc/ca.pem",
                "ssl_cert_reqs": "none",
                "ssl_check_hostname": False,
            },
        ),
    ],
)
def test_a_url_names_a_server(url, expected):
    options = parse_server_url(url)

    kind = options.pop("connection_class")
    assert options == expected
    assert issubclass(kind, SSLConnection) == ("rediss:" in url)
    assert issubclass(kind, UnixDomainSocketConnection) == ("unix:" in url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://u:s3cret@h", "must begin with redis://"),
        ("redis:/h", "must begin with redis://"),
        ("s3cret", "must begin with redis://"),
        ("redis://:s3cret#x@h:6379/0", "percent-encode"),
        ("redis://h:6379/0#s3cret", "percent-encode"),
        ("redis://:s3cret?x@h:6379/0", "percent-encode"),
        ("redis://:s3cret?x=1@h:6379/0", "percent-encode"),
        ("redis://u:12?s3cret@h:6379/0", "percent-encode"),
        ("redis://:s3cret/x@h:6379/0", "percent-encode"),
        ("redis://u:12/s3cret@h:6379/0", "percent-encode"),
        ("redis://:s3cret@x@h:6379/0", "percent-encode"),
        ("redis://:s3cret[x@h:6379/0", "percent-encode"),
        ("redis://:s3cret]x@h:6379/0", "percent-encode"),
        ("redis://:s3cret x@h:6379/0", "percent-encode"),
        ("redis://:s3cret\tx@h:6379/0", "percent-encode"),
        ("redis://:s3cret", "its port must be a number from 1 to 65535"),
        ("redis://h:99999/0", "its port must be a number from 1 to 65535"),
        ("redis://h:0/0", "its port must be a number from 1 to 65535"),
        ("redis://h:abc", "its port must be a number from 1 to 65535"),
        ("redis://h:-1", "its port must be a number from 1 to 65535"),
        ("redis://h:/0", "its port must be a number from 1 to 65535"),
        ("redis://h:\uff16379/0", "its port must be a number from 1 to 65535"),
        ("redis://::1:6379/0", "its port"),
        ("redis://[::1/0", "bracket"),
        ("redis://::1]/0", "bracket"),
        ("redis://[s3cret]/0", "bracket"),
        ("redis://[::1]x:1/0", "has no host"),
        ("redis://h:p/abc", "its port"),
        ("redis://h/abc", "its database must be a number of 0 or more"),
        ("redis://h/-1", "its database must be a number of 0 or more"),
        ("redis://h/1/2", "its database must be a number of 0 or more"),
        ("redis://h/1?db=2", "gives db twice"),
        ("redis://h?db=1&db=2", "gives db twice"),
        ("redis://:a@h?password=b", "gives password twice"),
        ("redis://h?db=x", "its option db must be a number"),
        ("redis://h?db=", "option db without a value"),
        ("redis://h?nosuch=1", "option nosuch, which is not known; known: db, "),
        ("redis://h?socket_timeout=5", "option socket_timeout, which Spigot sets itself"),
        ("redis://h?socket_timeout=abc", "option socket_timeout, which Spigot sets itself"),
        ("redis://h?socket_connect_timeout=5", "which Spigot sets itself"),
        ("redis://h?decode_responses=True", "which Spigot sets itself"),
        ("redis://h?encoding=latin-1", "which Spigot sets itself"),
        ("redis://h?encoding_errors=replace", "which Spigot sets itself"),
        ("redis://h?retry_on_timeout=1", "which Spigot sets itself"),
        ("redis://h?protocol=2", "which Spigot sets itself"),
        ("redis://h?max_connections=1", "which Spigot sets itself"),
        ("redis://h?s3cret!=1", "an unknown option"),
        ("redis://h?health_check_interval=soon", "its option health_check_interval must be"),
        ("redis://h?socket_keepalive=perhaps", "must be true or false"),
        ("redis://h?ssl_ca_certs=/ca", "which only rediss:// can have"),
        ("rediss://h?ssl_cert_reqs=s3cret", "must be none, optional or required"),
        ("unix://run/r.sock", "write unix:///PATH"),
        ("unix://", "write unix:///PATH"),
        ("unix:///", "write unix:///PATH"),
        ("unix://u:s3cret@h/run/r.sock", "write unix:///PATH"),
        ("unix:///run/r.sock?db=x", "its option db must be a number"),
        ("unix://:s3cret#@/run/r.sock", "percent-encode"),
    ],
)
@pytest.mark.parametrize("variable", ["REDIS_URL", "SPIGOT_LIMITS_REDIS_URL"])
def test_a_url_that_names_none_is_told_in_one_line_without_a_secret(
    monkeypatch, variable, url, words
):
    with pytest.raises(ServerUrlError):
        parse_server_url(url)
    monkeypatch.setenv(variable, url)

    with pytest.raises(SettingsError) as raised:
        load_settings()

    message = str(raised.value)
    assert message.startswith(f"{variable}=(hidden) ")
    assert words in message
    assert SECRET not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://h:1/2", {"host": "h", "port": 1, "db": 2}),
        ("redis://ada@h", {"host": "h", "username": "ada"}),
        ("redis://ada:@h?client_name=a@b", {"host": "h", "username": "ada", "client_name": "a@b"}),
        ("redis://[::1]:1", {"host": "::1", "port": 1}),
        ("unix:///run/a@b.sock?db=1", {"path": "/run/a@b.sock", "db": 1}),
    ],
)
def test_a_password_is_put_into_a_url_as_it_is(url, place):
    password = "p@ss/w#rd:%20? é&=+[']\"$"

    options = parse_server_url(with_password(url, password))

    options.pop("connection_class")
    assert options == {**place, "password": password}


def test_a_url_keeps_its_own_password():
    assert with_password("redis://:own@h", "other") == "redis://:own@h"
    assert with_password("redis://h", None) == "redis://h"


@pytest.mark.parametrize("command", [("worker",), ("web",), ("up",), ("bucket", "list")])
def test_every_command_says_so_and_ends(command, tmp_path):
    environment = {"REDIS_URL": "redis://:s3cret#x@h:1/0", "PATH": "/usr/bin"}
    arguments = ("-P", "-m", "spigot", *command)
    ended = warm_python().run(*arguments, environment=environment, folder=tmp_path)

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: REDIS_URL=(hidden) cannot be used: ")
    assert len(ended.stderr.splitlines()) == 1
    assert SECRET not in ended.stderr
