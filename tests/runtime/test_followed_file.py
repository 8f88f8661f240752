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


UNREADABLE = "x" * 300
"""A name that is too long: to look for it fails, as in a folder that nobody may look into."""


def test_a_file_that_cannot_be_looked_for_changes_nothing(path, caplog):
    path.write_text("1")
    followed = follow(path)
    path.unlink()
    path.symlink_to(UNREADABLE)

    followed.look(0)

    assert followed.value == 1
    assert "cannot be read: File name too long; the last good numbers stay" in caplog.text


@pytest.mark.parametrize("optional", [True, False])
def test_nor_is_it_used_at_the_start(path, optional):
    path.symlink_to(UNREADABLE)

    with pytest.raises(OperatorError, match="numbers cannot be read: File name too long"):
        FollowedFile(path, int, error=OperatorError, contents="numbers", optional=optional)
