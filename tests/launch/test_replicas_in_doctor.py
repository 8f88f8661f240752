"""What ``spigot doctor`` says of replicas that are to be waited for."""

import pytest

from spigot.jobs.store.server_check import ServerUnreachableError, check_server
from spigot.launch.doctor import examine
from spigot.runtime.settings import Settings


@pytest.fixture
def pair(shared_pair):
    for name, right in {"able": "+wait", "unable": "-wait"}.items():
        shared_pair.old.acl_setuser(
            name,
            enabled=True,
            nopass=True,
            commands=["+@all", right],
            keys=["*"],
            channels=["*"],
        )
    return shared_pair


@pytest.fixture
def found(pair, tmp_path):
    """Return what the doctor finds of one thing, with one user and setting."""

    def found(check: str, *, user: str = "able", replicas: int = 1) -> list[tuple[bool, str]]:
        settings = Settings(
            _env_file=None,
            redis_url=f"{pair.url}?username={user}&password=x",
            data_dir=tmp_path,
            wait_replicas=replicas,
            wait_seconds=0.2,
            apps=(),
        )
        return [(one.ok, one.detail) for one in examine(settings) if one.check == check]

    return found


def test_replicas_that_follow_are_well(found):
    assert found("replicas") == [(True, "1 or more have what is written in time")]


def test_more_than_there_are_is_wrong(found):
    assert found("replicas", replicas=2) == [(False, "only 1 of 2 replicas had it after 0.2 s")]


def test_a_replica_that_hangs_is_wrong(found, pair):
    pair.hang_new(True)
    try:
        assert found("replicas") == [(False, "only 0 of 1 replicas had it after 0.2 s")]
    finally:
        pair.hang_new(False)


def test_who_does_not_wait_needs_neither_replicas_nor_the_right(found):
    assert found("replicas", user="unable", replicas=0) == []
    assert found("server", user="unable", replicas=0)[0][0]


def test_the_right_to_wait_is_named(found):
    (is_well, detail), *_ = found("server", user="unable")

    assert not is_well
    assert detail.endswith("does not give its user the rights +wait")
    assert found("replicas", user="unable") == []


def test_nothing_starts_without_the_right_to_wait(pair):
    url = f"{pair.url}?username=unable&password=x"
    check_server(url)

    with pytest.raises(ServerUnreachableError, match=r"the rights \+wait; add them"):
        check_server(url, waits=True)
