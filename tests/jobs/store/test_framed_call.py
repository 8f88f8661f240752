"""What many calls have in common is packed once, and each call is as if it had been sent whole."""

import pytest
from redis import ResponseError

from spigot.jobs.store.framed_call import FramedCall
from spigot.jobs.store.lua_script import PersistentScript
from spigot.runtime.server.redis_connection import connect
from tests.support.round_trips import counted_round_trips

ECHO = "return { #KEYS, KEYS[1], KEYS[2], unpack(ARGV) }"
KEYS, BEFORE, AFTER = ("key", "schlüssel"), ("queue", 600), ("origin", b"\x00\r\n")
OWN = ["id", "é", 1, b"\xff$3\r\n"]


@pytest.fixture
def client(redis, redis_url):
    with connect(redis_url, timeout=5) as client:
        yield client


@pytest.fixture(params=["directly", "by redis-py"])
def script(redis, client, request):
    script = PersistentScript(client if request.param == "directly" else redis, ECHO)
    assert script.is_called_directly is (request.param == "directly")
    return script


@pytest.mark.parametrize("own", [OWN, []])
def test_a_call_has_keys_and_arguments_in_their_order(script, own):
    framed = FramedCall(script, KEYS, BEFORE, AFTER)

    assert framed(own) == script(keys=KEYS, args=[*BEFORE, *own, *AFTER])


def test_an_empty_frame_is_a_call_like_any_other(script):
    assert FramedCall(script, KEYS, (), ())(OWN) == script(keys=KEYS, args=OWN)


def test_a_forgotten_script_is_loaded_again(redis, script):
    framed = FramedCall(script, KEYS, BEFORE, AFTER)
    redis.script_flush()

    assert framed(OWN)[3:5] == [b"queue", b"600"]


def test_what_cannot_be_sent_is_not(client):
    framed = FramedCall(PersistentScript(client, ECHO), KEYS, BEFORE, AFTER)

    with counted_round_trips() as sent, pytest.raises(TypeError):
        framed([None])
    assert sent == []


def test_what_stopped_it_is_set_aside_and_it_is_called_again(redis, client):
    redis.set("spigot:1:bucket:default", "text")
    count = "return redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2])"
    framed = FramedCall(PersistentScript(client, count), ["spigot:1:bucket:default"], ["n"], [1])

    assert framed([]) == 1
    assert redis.get("spigot:1:aside:spigot:1:bucket:default") == b"text"


def test_an_error_of_the_script_is_told(client):
    framed = FramedCall(PersistentScript(client, "return redis.call('GET')"), KEYS, (), ())

    with pytest.raises(ResponseError):
        framed([])
