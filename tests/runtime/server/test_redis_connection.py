from importlib.metadata import version

import pytest
from redis import Redis, utils
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    DataError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)

from spigot.runtime.server.redis_connection import connect, is_away


@pytest.mark.parametrize(
    "error",
    [
        BusyLoadingError("loading"),
        ConnectionError("refused"),
        OutOfMemoryError("maxmemory"),
        ReadOnlyError("replica"),
        TimeoutError("silent"),
        ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        ResponseError("-OOM command not allowed when used memory > 'maxmemory', script: 1"),
    ],
)
def test_a_server_that_may_soon_serve_again_is_away(error):
    assert is_away(error)


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("WRONGTYPE Operation against a key"),
        NoScriptError("NOSCRIPT"),
        DataError("wrong input"),
        KeyError("ConnectionError"),
    ],
)
def test_a_fault_of_ours_is_not(error):
    assert not is_away(error)


def test_a_server_that_is_full_is_away_in_a_script_too(redis):
    before = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(ResponseError) as raised:
            redis.eval("return redis.call('SET', 'a', 1)", 0)
    finally:
        redis.config_set("maxmemory", before)

    assert is_away(raised.value)


def test_connecting_opens_no_connection():
    connect("redis://127.0.0.1:1/0", timeout=1)


def test_connections_do_not_each_look_up_what_redis_py_says_of_itself(redis_url, monkeypatch):
    """Which takes a millisecond, in each work horse too."""

    def told(client: Redis) -> str:
        (mine,) = client.client_list(client_id=[client.client_id()])
        return mine["lib-ver"]

    with connect(redis_url, timeout=5) as first:
        assert told(first) == version("redis")
    monkeypatch.setattr(utils, "get_lib_version", lambda: "looked-up")
    with connect(redis_url, timeout=5) as later:
        assert told(later) == version("redis")
