import json
import logging

import pytest

from spigot.webapp.door.rate_limits.rules_file import (
    FILE_CHECK_SECONDS,
    FixedRules,
    RulesFile,
    read_rules,
)
from spigot.webapp.door.rate_limits.rules_text import RulesError
from tests.support.fake_clock import FakeClock


def written(limit):
    return json.dumps({"default": {"limit": limit, "window": 60}})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rate_limits.json"
    path.write_text(written(1))
    return path


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def file(path, clock):
    return RulesFile(path, clock.monotonic_us)


def limit_in_force(file):
    return file.in_force().by_name["default"].limit.limit


def limit_after_a_check(file, clock):
    clock.wait(FILE_CHECK_SECONDS)
    return limit_in_force(file)


def test_a_changed_file_is_in_force_within_a_second(file, path, clock):
    path.write_text(written(2))

    assert limit_after_a_check(file, clock) == 2
    assert FILE_CHECK_SECONDS <= 1


def test_the_file_is_looked_at_once_a_second(file, path, clock):
    clock.wait(FILE_CHECK_SECONDS)
    file.in_force()
    path.write_text(written(2))

    clock.wait(FILE_CHECK_SECONDS * 0.99)
    assert limit_in_force(file) == 1
    clock.wait(FILE_CHECK_SECONDS * 0.01)
    assert limit_in_force(file) == 2


def test_a_replaced_file_is_seen(file, path, clock):
    other = path.with_name("other.json")
    other.write_text(written(2))
    other.rename(path)

    assert limit_after_a_check(file, clock) == 2


def test_the_same_content_keeps_the_same_rules(file, path, clock):
    before = file.in_force()
    path.write_text(written(1))
    clock.wait(FILE_CHECK_SECONDS)

    assert file.in_force() is before


@pytest.mark.parametrize(
    "content", [b"{", b'{"default": {"limit": 0, "window": 60}}', b"\xff", None]
)
def test_a_broken_file_keeps_the_last_good_rules(file, path, clock, caplog, content):
    path.write_text(written(2))
    assert limit_after_a_check(file, clock) == 2
    path.unlink() if content is None else path.write_bytes(content)

    assert [limit_after_a_check(file, clock) for _ in range(3)] == [2, 2, 2]

    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert str(path) in record.message


def test_a_mended_file_is_in_force(file, path, clock, caplog):
    for content in ("{", written(3), "{", written(4)):
        path.write_text(content)
        clock.wait(FILE_CHECK_SECONDS)
        file.in_force()

    assert limit_in_force(file) == 4
    assert [each.levelno for each in caplog.records if each.levelno == logging.ERROR] == [40, 40]


def test_a_file_that_comes_back_is_in_force(file, path, clock, caplog):
    for content in (None, written(1), None, written(1)):
        path.unlink() if content is None else path.write_text(content)
        clock.wait(FILE_CHECK_SECONDS)
        file.in_force()

    assert limit_in_force(file) == 1
    assert [each.levelno for each in caplog.records if each.levelno == logging.ERROR] == [40, 40]


def test_a_check_may_be_asked_for(file, path):
    path.write_text(written(2))

    file.check_now()

    assert limit_in_force(file) == 2


def test_a_broken_file_at_the_start_is_an_error(path, clock):
    path.write_text('{"default": {"limit": 0, "window": 60}}')

    with pytest.raises(RulesError, match=r"rate_limits\.json: rule 'default': limit"):
        RulesFile(path, clock.monotonic_us)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(RulesError, match="cannot be read"):
        read_rules(tmp_path / "none.json")


def test_an_optional_file_is_followed_from_when_it_is_there(path, clock, caplog):
    path.unlink()
    assert read_rules(path, optional=True).by_name == {}
    file = RulesFile(path, clock.monotonic_us, optional=True)
    assert file.in_force().by_name == {}
    clock.wait(FILE_CHECK_SECONDS)
    assert file.in_force().by_name == {}
    assert not caplog.records

    path.write_text(written(2))
    assert limit_after_a_check(file, clock) == 2

    path.unlink()
    assert limit_after_a_check(file, clock) == 2
    assert "the last good rules stay in force" in caplog.text


def test_an_optional_file_that_was_there_keeps_its_rules(path, clock):
    file = RulesFile(path, clock.monotonic_us, optional=True)
    path.unlink()

    assert limit_after_a_check(file, clock) == 1


def test_rules_may_be_given_without_a_file():
    rules = FixedRules({"default": {"limit": 3, "window": 60}})

    assert limit_in_force(rules) == 3
