"""The probe of rights, on a real server with users that lack one right each."""

import pytest
from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.server_rights import command_name, find_missing_rights, probe_commands
from spigot.runtime.server.redis_connection import connect
from tests.support.servers import own_server

COMMANDS = sorted({command_name(command) for command in probe_commands("x")})
KEYS, CHANNELS = ["~rq:*", "~spigot:1:*"], ["&rq:pubsub:*", "&spigot:1:job_events"]
RIGHTS = [*(f"+{name}" for name in COMMANDS), *KEYS, *CHANNELS]


@pytest.fixture(scope="module")
def server():
    with own_server() as server:
        yield server


@pytest.fixture
def missing_of(server):
    """Return a function that probes as a user with the given rights, and looks for leavings."""

    def probe(rights):
        with Redis.from_url(server.url) as admin:
            rules = ["reset", "on", ">pw", "-@all", "resetchannels", "+hello", *rights]
            admin.execute_command("ACL", "SETUSER", "spigot", *rules)
            with connect(f"{server.url}?username=spigot&password=pw", timeout=5) as redis:
                missing = find_missing_rights(redis)
            if "+del" in rights:
                assert admin.keys("rq:*") == []
                if KEYS[1] in rights:
                    assert admin.keys("*") == []
            admin.flushall()
        return missing

    return probe


def test_a_user_with_all_rights_lacks_none(missing_of):
    assert not missing_of(["+@all", "~*", "&*"])


def test_the_least_rights_suffice(missing_of):
    assert not missing_of(RIGHTS)


@pytest.mark.parametrize("right", RIGHTS)
def test_each_right_that_is_missing_is_named(missing_of, right):
    missing = missing_of([other for other in RIGHTS if other != right])

    assert missing.rights == [right]
    assert not missing.unknown
    assert right in missing.fault().detail
    assert "\n" not in str(missing.fault())


def test_a_user_without_channels_is_told_so(missing_of):
    assert set(missing_of(["+@all", "~*"]).rights) == set(CHANNELS)


def test_nothing_is_left_behind(redis, redis_url):
    with connect(redis_url, timeout=5) as connection:
        find_missing_rights(connection)

    assert redis.keys(f"{keys.PREFIX}probe*") == redis.keys("*") == []
