"""Scripts are called on a connection of the client's pool, past redis-py's own layers."""

import os
import threading
from unittest.mock import patch

import pytest
from redis import Redis
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from spigot.jobs.store.direct_call import takes_direct_calls
from spigot.jobs.store.lua_script import PersistentScript, replies_together
from spigot.runtime.server.redis_connection import connect
from tests.support.processes import wait_for
from tests.support.round_trips import counted_round_trips
from tests.support.servers import own_server

ADD = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
ECHO = "return {KEYS[1], ARGV[1], ARGV[2]}"


@pytest.fixture
def client(redis, redis_url):
    """Return a client as production has it: one that tries nothing again."""
    with connect(redis_url, timeout=5) as client:
        assert takes_direct_calls(client)
        yield client


@pytest.fixture
def add(client):
    script = PersistentScript(client, ADD)
    script(keys=["n"], args=[0])
    return lambda: script(keys=["n"], args=[1])


def test_a_call_is_one_round_trip_on_a_connection_that_goes_back(client, add):
    with counted_round_trips() as sent:
        assert [add(), add()] == [1, 2]

    assert len(sent) == 2
    assert len(client.connection_pool._available_connections) == 1


def test_a_forgotten_script_is_loaded_again_and_runs_once(redis, add):
    redis.script_flush()

    assert add() == 1


@pytest.mark.parametrize("options", [{}, {"protocol": 2}, {"protocol": 3}])
@pytest.mark.parametrize("decodes", [False, True])
def test_answers_are_those_of_the_client(redis, redis_url, options, decodes):
    with connect(redis_url, timeout=5, decode_responses=decodes, **options) as client:
        answer = PersistentScript(client, ECHO)(keys=["key"], args=["é", 1])

    assert answer == (["key", "é", "1"] if decodes else [b"key", "é".encode(), b"1"])


def test_an_error_of_the_script_leaves_the_connection_as_it_was(redis, client, add):
    redis.set("n", "text")
    for _ in range(3):
        with pytest.raises(ResponseError):
            add()

    redis.delete("n")
    with counted_round_trips() as sent:
        assert add() == 1
    assert len(sent) == 1  # nothing was connected anew


def test_several_calls_are_one_packet_and_a_refusal_stands_among_the_replies(redis, client, add):
    redis.set("text", "no number")
    script = PersistentScript(client, ADD)
    calls = [(script, ["n"], [1]), (script, ["text"], [1]), (script, ["n"], [1])]

    with counted_round_trips() as sent:
        first, refusal, last = replies_together(client, calls)

    assert len(sent) == 1
    assert (first, last) == (1, 2)
    assert isinstance(refusal, ResponseError)
    assert add() == 3


def test_what_cannot_be_sent_takes_no_connection(client, add):
    with pytest.raises(TypeError):
        PersistentScript(client, ADD)(keys=["n"], args=[None])

    assert add() == 1
    assert not client.connection_pool._in_use_connections


def test_whoever_is_interrupted_leaves_no_answer_to_the_next(client, add):
    class Interruption(BaseException):
        pass

    connections = client.connection_pool.connection_class
    with (
        patch.object(connections, "read_response", side_effect=Interruption),
        pytest.raises(Interruption),
    ):
        add()

    assert [add(), add()] == [2, 3]


def test_a_connection_that_the_server_closed_is_not_used(redis, add):
    redis.client_kill_filter(_type="normal", skipme=True)

    assert add() == 1


@pytest.mark.slow
def test_a_server_that_hangs_or_goes_is_told_once_and_comes_back():
    with own_server() as server, connect(server.url, timeout=1) as client:
        script = PersistentScript(client, ADD)
        script(keys=["n"], args=[1])
        server.hang()
        for _ in range(2):
            with pytest.raises(TimeoutError):
                script(keys=["n"], args=[0])
        server.go_on()
        wait_for(lambda: script(keys=["n"], args=[0]) == 1)

        server.kill()
        with pytest.raises(ConnectionError):
            script(keys=["n"], args=[1])
        server.start()
        assert script(keys=["n"], args=[1]) == 1


def test_threads_and_forks_share_it(add):
    found = []
    threads = [
        threading.Thread(target=lambda: found.extend(add() for _ in range(25))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 101))

    child = os.fork()
    if child == 0:
        os._exit(0 if add() == 101 else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert add() == 102


def test_a_connection_of_an_earlier_term_is_connected_anew(redis, client, add):
    (connection,) = client.connection_pool._available_connections
    before = redis.info("stats")["total_connections_received"]
    connection.primary.end(connection.primary.term)

    assert [add(), add()] == [1, 2]
    assert redis.info("stats")["total_connections_received"] == before + 1


def test_a_client_that_is_told_new_credentials_is_left_to_redis_py(redis_url):
    with connect(redis_url, timeout=5, credential_provider=object()) as client:
        assert not takes_direct_calls(client)


def test_a_client_that_tries_again_by_itself_goes_on_doing_so(redis_url):
    with Redis.from_url(redis_url) as client:
        assert not takes_direct_calls(client)
        assert PersistentScript(client, "return 1")() == 1
    with Redis.from_url(redis_url, single_connection_client=True, retry=None) as client:
        assert not takes_direct_calls(client)
