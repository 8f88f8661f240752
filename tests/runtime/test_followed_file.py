"""Files that are read again while the program runs."""

import os

import pytest

from spigot.runtime.errors import OperatorError
from spigot.runtime.followed_file import FollowedFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "numbers"


def follow(path):
    return FollowedFile(path, int, error=OperatorError, contents="numbers")


def test_a_pipe_in_place_of_the_file_keeps_nobody_waiting(path, caplog):
    path.write_text("1")
    followed = follow(path)
    path.unlink()
    os.mkfifo(path)
    followed.look(0)
    assert followed.value == 1
    assert "pipe or a device, put a file there; the last good numbers stay in force" in caplog.text

    path.unlink()
    path.write_text("2")
    followed.look(0)
    assert followed.value == 2


def test_nor_at_the_start(path):
    os.mkfifo(path)
    with pytest.raises(OperatorError, match=r"numbers cannot be read: .* pipe"):
        follow(path)
