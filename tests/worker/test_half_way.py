"""Scripts that fail half-way: wherever they do, no job is lost, and none is in two places."""

from collections.abc import Iterator

import pytest
from redis import Redis

from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import keys
from tests.support.all_moves import AllMoves, commands_of_scripts
from tests.support.servers import Server, own_server

COMMANDS = commands_of_scripts()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server() as server:
        yield server


@pytest.fixture
def admin(server: Server) -> Iterator[Redis]:
    with Redis.from_url(server.url) as admin:
        admin.flushall()
        yield admin


@pytest.fixture
def user(server: Server, admin: Redis) -> Iterator[Redis]:
    """A user that may do everything, for now."""
    admin.execute_command("ACL", "SETUSER", "user", "reset", "on", ">word", "~*", "&*", "+@all")
    with Redis.from_url(server.url, username="user", password="word") as user:
        yield user


@pytest.fixture
def moves(admin: Redis, user: Redis) -> AllMoves:
    return AllMoves(admin, user)


def test_undisturbed_every_move_is_made(moves):
    moves.make()

    assert moves.refused == []
    assert moves.settle() == []
    assert moves.misplaced() == []
    assert len(moves.accepted) == 16


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_right_no_job_is_lost(moves, admin, command):
    admin.execute_command("ACL", "SETUSER", "user", f"-{command.lower()}")
    moves.make()
    admin.execute_command("ACL", "SETUSER", "user", "+@all")

    assert moves.settle() == []
    assert moves.misplaced() == []


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_right_that_is_lost_for_a_while_loses_no_job(moves, admin, command):
    """The jobs are accepted before; then it is missing wherever they are on their way."""
    for number, move in enumerate(moves.moves()):
        right = "-" if number > 12 and number % 3 else "+"
        admin.execute_command("ACL", "SETUSER", "user", f"{right}{command.lower()}")
        moves.attempt(move)
    admin.execute_command("ACL", "SETUSER", "user", "+@all")

    assert moves.settle() == []
    assert moves.misplaced() == []


@pytest.mark.slow
def test_a_key_of_another_type_loses_no_job(moves, admin, user):
    written = sorted(moves.written_keys() - {keys.buckets()})
    assert len(written) > 40
    wrong = {key: problems for key in written if (problems := spoil(admin, user, key))}

    assert wrong == {}


def spoil(admin: Redis, user: Redis, key: str) -> list[str]:
    """Let a key be of another type while jobs move; return what went wrong."""
    admin.flushall()
    moves = AllMoves(admin, user)
    admin.set(key, "somebody else's")
    moves.make()
    admin.delete(key)
    BucketPublisher(admin).publish(moves.bucket.configs)
    return moves.settle() + moves.misplaced(spoilt=key)
