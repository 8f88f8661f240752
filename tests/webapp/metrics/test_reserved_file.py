"""Counters on a disk that may be full."""

import errno
import os

import pytest

from spigot.webapp.metrics.reserved_file import RESERVED_BYTES, ReservedFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counter_1.db"


def counted(file):
    return {key: value for key, value, _, _ in file}


def test_room_is_taken_before_it_is_written_to(path):
    file = ReservedFile(str(path))

    assert path.stat().st_blocks * 512 >= path.stat().st_size == RESERVED_BYTES
    file.write_value("jobs", 3.0, 0.0)
    assert counted(ReservedFile.read_all_values_from_file(path)) == {"jobs": 3.0}
    file.close()


def test_on_a_full_disk_a_process_counts_for_itself_and_leaves_no_file(path, monkeypatch, caplog):
    def refuse(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    file = ReservedFile(str(path))
    for number in range(5000):  # it grows, too
        file.write_value(f"jobs{number}", 3.0, 0.0)

    assert file.read_value("jobs7") == (3.0, 0.0)
    assert not path.exists()
    assert "No space left on device" in caplog.text
    file.close()
