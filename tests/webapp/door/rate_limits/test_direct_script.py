"""The door's own way to the server."""

import os
import threading

import pytest
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from spigot.runtime.server.redis_connection import connect
from spigot.webapp.door.rate_limits.direct_script import DirectScript
from tests.support.processes import wait_for
from tests.support.round_trips import counted_round_trips
from tests.support.servers import own_server


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Return what builds a script on a server that adds to a counter."""
    source = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
    monkeypatch.setattr(
        "spigot.webapp.door.rate_limits.direct_script.script_text",
        lambda package, filename: source,
    )
    return lambda url, **options: DirectScript(
        connect(url, timeout=1, protocol=2, **options), "any", "any.lua"
    )


@pytest.fixture
def add(script, redis_url, redis):
    counter = script(redis_url)
    return lambda: counter.run(counter.pack(["n"], [1]))


def client_count(redis):
    return len(redis.client_list()) - 1


def test_a_run_is_one_round_trip(add):
    add()

    with counted_round_trips() as sent:
        assert [add(), add()] == [2, 3]

    assert len(sent) == 2


def test_a_connection_is_used_again(add, redis):
    before = client_count(redis)
    for _ in range(5):
        add()

    assert client_count(redis) == before + 1


def test_a_forgotten_script_is_loaded_again_and_runs_once(add, redis):
    add()
    redis.script_flush()

    assert add() == 2
    assert redis.get("n") == b"2"


def test_a_connection_that_the_server_closed_is_not_used(add, redis):
    add()
    redis.client_kill_filter(_type="normal", skipme=True)

    assert add() == 2


def test_connections_that_are_given_up_do_not_count_for_ever(script, redis, redis_url):
    counter = script(redis_url, max_connections=2)
    call = counter.pack(["n"], [1])
    redis.set("n", "text")
    for _ in range(3):
        with pytest.raises(ResponseError, match="not an integer"):
            counter.run(call)


def test_an_error_of_the_script_is_raised_and_the_next_run_is_fine(add, redis):
    redis.set("n", "text")
    with pytest.raises(ResponseError):
        add()

    redis.delete("n")
    assert add() == 1


def test_threads_share_it(script, redis_url, redis):
    counter = script(redis_url)
    call = counter.pack(["n"], [1])
    found = []
    threads = [
        threading.Thread(target=lambda: found.extend(counter.run(call) for _ in range(50)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == list(range(1, 401))
    assert client_count(redis) <= 8 + 1


def test_a_fork_opens_connections_of_its_own(add, redis):
    add()
    child = os.fork()
    if child == 0:
        os._exit(0 if add() == 2 else 1)

    _, status = os.waitpid(child, 0)

    assert status == 0
    assert add() == 3


def test_idle_connections_can_be_closed(script, redis_url, redis):
    counter = script(redis_url)
    before = client_count(redis)
    counter.run(counter.pack(["n"], [1]))

    counter.disconnect_idle()

    wait_for(lambda: client_count(redis) == before)


@pytest.mark.slow
def test_a_server_that_hangs_is_a_timeout_on_an_old_and_on_a_new_connection(script):
    with own_server() as server:
        counter = script(server.url)
        call = counter.pack(["n"], [1])
        counter.run(call)
        server.hang()

        for _ in range(2):
            with pytest.raises(TimeoutError):
                counter.run(call)
        server.go_on()
        wait_for(lambda: counter.run(call))


def test_a_server_that_is_gone_is_an_error(script):
    with own_server() as server:
        counter = script(server.url)
        call = counter.pack(["n"], [1])
        counter.run(call)
        server.kill()

        with pytest.raises(ConnectionError):
            counter.run(call)
        server.start()
        assert counter.run(call) == 1
