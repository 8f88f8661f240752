import pytest
from redis.connection import SSLConnection, UnixDomainSocketConnection

from spigot.runtime.server_address import ServerUrlError, parse_server_url, with_password
from spigot.runtime.settings import SettingsError, load_settings
from tests.support.warm_python import warm_python

SECRET = "s3cret"

SENTINELS = [
    ("sentinel://a/jobs", [("a", 26379)], {}),
    ("sentinel://a:1,b/jobs/", [("a", 1), ("b", 26379)], {}),
    ("sentinel://a:1,[::1]:2,[::2]/jobs/3", [("a", 1), ("::1", 2), ("::2", 26379)], {"db": 3}),
    ("sentinel://a/jobs?db=3&client_name=x", [("a", 26379)], {"db": 3, "client_name": "x"}),
    ("sentinel://a/big%20jobs%2F1", [("a", 26379)], {}),
    ("sentinel://:p@a,b/jobs", [("a", 26379), ("b", 26379)], {"password": "p"}),
    ("sentinel://u:p%2C@a/jobs", [("a", 26379)], {"username": "u", "password": "p,"}),
    (
        "sentinel://u:p@a/jobs?sentinel_password=s",
        [("a", 26379)],
        {"username": "u", "password": "p"},
    ),
    ("sentinels://a/jobs?ssl_ca_certs=/ca", [("a", 26379)], {"ssl_ca_certs": "/ca"}),
]


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


@pytest.mark.parametrize(("url", "addresses", "others"), SENTINELS)
def test_a_url_names_sentinels(url, addresses, others):
    options = parse_server_url(url)

    sentinels, kind = options.pop("sentinels"), options.pop("connection_class")
    assert list(sentinels.addresses) == addresses
    assert sentinels.name == ("big jobs/1" if "big" in url else "jobs")
    assert options == others
    assert issubclass(kind, SSLConnection) == url.startswith("sentinels:")
    assert (sentinels.tls is not None) == url.startswith("sentinels:")
    given = {name: value for name, value in others.items() if name in ("username", "password")}
    own = {"password": "s"} if "sentinel_password" in url else given
    assert dict(sentinels.credentials) == own
    assert hash(sentinels)
    assert "p" not in repr(sentinels).replace("Sentinels", "").replace("name='", "")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sentinel://a:1,b:2", "names no primary: write sentinel://[USER:PASSWORD@]HOST:PORT,"),
        ("sentinel://a:1,b:2/", "names no primary"),
        ("sentinel://a:1,b:2//0", "names no primary"),
        ("sentinel://", "names no primary"),
        ("sentinel:///jobs", "has no host"),
        ("sentinel://a,,b/jobs", "has no host between two commas"),
        ("sentinel://a,/jobs", "has no host between two commas"),
        ("sentinel://a:x/jobs", "its port must be a number from 1 to 65535"),
        ("sentinel://a:1:2/jobs", "its port must be"),
        ("sentinel://::1/jobs", "its port"),
        ("sentinel://[::1/jobs", "has no host"),
        ("sentinel://[s3cret]/jobs", "no IPv6 address"),
        ("sentinel://a/jobs/x", "its database must be a number of 0 or more"),
        ("sentinel://a/jobs/1/2", "its database must be a number of 0 or more"),
        ("sentinel://a/jobs/1?db=1", "gives db twice"),
        ("sentinel://a,a:26379/jobs", "names a sentinel twice"),
        ("sentinel://:s3cret@x@a/jobs", "percent-encode"),
        ("sentinel://:s3cret/x@a/jobs", "percent-encode"),
        ("sentinel://:s3cret#x@a/jobs", "percent-encode"),
        ("sentinel://a/jobs?ssl_ca_certs=/ca", "which only rediss:// or sentinels:// can have"),
        ("redis://a?sentinel_password=s3cret", "which only sentinel:// can have"),
        ("redis://a:1,b:2/jobs", "its port must be a number"),
        ("redis+sentinel://a/jobs", "must begin with redis://"),
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
        ("redis://h?ssl_ca_certs=/ca", "which only rediss:// or sentinels:// can have"),
        ("rediss://h?ssl_cert_reqs=s3cret", "must be none, optional or required"),
        ("unix://run/r.sock", "write unix:///PATH"),
        ("unix://", "write unix:///PATH"),
        ("unix:///", "write unix:///PATH"),
        ("unix://u:s3cret@h/run/r.sock", "write unix:///PATH"),
        ("unix:///run/r.sock?db=x", "its option db must be a number"),
        ("unix://:s3cret#@/run/r.sock", "percent-encode"),
    ],
)
def test_a_url_that_names_none_is_told_in_one_line_without_a_secret(monkeypatch, url, words):
    with pytest.raises(ServerUrlError):
        parse_server_url(url)
    for variable in ("REDIS_URL", "SPIGOT_LIMITS_REDIS_URL"):
        with monkeypatch.context() as environment:
            environment.setenv(variable, url)
            check_what_is_told(variable, words)


def check_what_is_told(variable, words):
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
        ("sentinel://ada@a:1,b:2/jobs/0", {"username": "ada", "db": 0}),
        ("unix:///run/a@b.sock?db=1", {"path": "/run/a@b.sock", "db": 1}),
    ],
)
def test_a_password_is_put_into_a_url_as_it_is(url, place):
    password = "p@ss/w#rd:%20? é&=+[']\"$"

    options = parse_server_url(with_password(url, password))

    options.pop("connection_class")
    options.pop("sentinels", None)
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
