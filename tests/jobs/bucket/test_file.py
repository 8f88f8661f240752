import os
import threading

import pytest
from redis import Redis

from spigot.jobs.bucket import file as bucket_file
from spigot.jobs.bucket.config import BucketConfigError
from spigot.jobs.bucket.configuring import BucketHistory
from spigot.jobs.bucket.file import BucketFile
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.store import keys
from spigot.runtime.server.redis_connection import connect
from tests.support.processes import wait_for
from tests.support.round_trips import counted_round_trips


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "buckets.json"
    path.write_text('{"default": {"rate": "10/s"}, "mail": {"rate": "1/s"}}')
    return path


@pytest.fixture(autouse=True)
def _every_look_counts(monkeypatch):
    monkeypatch.setattr(bucket_file, "FILE_CHECK_SECONDS", 0)


@pytest.fixture
def file(path, redis):
    file = BucketFile(path, ["new"])
    file.publish(redis)
    return file


def rates(redis: Redis) -> dict[str, str]:
    return {bucket.name: bucket.rate for bucket in BucketReader(redis).read_all()}


def test_holds_the_buckets_of_the_file_and_those_that_must_be(file):
    assert {name: config.rate.text for name, config in file.items()} == {
        "default": "10/s",
        "mail": "1/s",
        "new": "10/s",
    }
    assert len(file) == 3


def test_warns_of_a_bucket_that_is_not_in_the_file(path, caplog):
    BucketFile(path, ["new", "mail"])

    assert caplog.messages == [f"bucket new is not in {path}: it gets the numbers of default"]


def test_publishes_all_buckets_or_some(path, redis):
    BucketFile(path, ["new"]).publish(redis, ["mail", "unknown"])
    assert rates(redis) == {"mail": "1/s"}

    BucketFile(path, ["new"]).publish(redis)
    assert rates(redis) == {"default": "10/s", "mail": "1/s", "new": "10/s"}


def test_a_changed_file_counts(file, path, redis):
    path.write_text('{"default": {"rate": "7/s"}, "mail": {"rate": "1/s"}}')

    file.follow(redis)

    assert rates(redis) == {"default": "7/s", "mail": "1/s", "new": "7/s"}
    assert file["default"].rate.text == "7/s"
    assert BucketHistory(redis).read("default")[0]["by"].startswith("buckets.json of ")


def test_only_what_was_changed_is_written(file, path, redis):
    path.write_text('{"default": {"rate": "10/s"}, "mail": {"rate": "2/s"}}')

    with counted_round_trips() as sent:
        file.follow(redis)

    assert len(sent) == 1


def test_a_file_that_was_not_touched_is_not_read(file, path, redis, monkeypatch):
    monkeypatch.setattr(bucket_file, "parse_bucket_configs", pytest.fail)

    with counted_round_trips() as sent:
        file.follow(redis)

    assert sent == []


def test_a_file_that_was_replaced_is_read(file, path, redis):
    times = path.stat()
    other = path.with_name("other")
    other.write_text(path.read_text().replace("10/s", "99/s").replace("1/s", "1/m"))
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)

    file.follow(redis)

    assert rates(redis)["mail"] == "1/m"


def test_is_looked_at_once_a_second_at_most(file, path, redis, monkeypatch):
    monkeypatch.setattr(bucket_file, "FILE_CHECK_SECONDS", 60)
    file.follow(redis)
    path.write_text("{}")

    file.follow(redis)

    assert rates(redis)["mail"] == "1/s"


@pytest.mark.parametrize("text", ["{", '{"mail": {"rate": "fast"}}', '{"Mail": {}}', None])
def test_a_broken_file_keeps_the_last_good_numbers_and_logs_one_error(
    file, path, redis, caplog, text
):
    if text is None:
        path.unlink()
    else:
        path.write_text(text)

    for _ in range(3):
        file.follow(redis)

    assert rates(redis) == {"default": "10/s", "mail": "1/s", "new": "10/s"}
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    assert str(path) in caplog.messages[-1]
    assert caplog.messages[-1].endswith("the last good numbers stay in force")

    path.write_text('{"mail": {"rate": "3/s"}}')
    file.follow(redis)
    assert rates(redis)["mail"] == "3/s"


def test_a_file_that_is_broken_at_the_start_stops_it(path):
    path.write_text("[]")

    with pytest.raises(BucketConfigError, match=str(path)):
        BucketFile(path)


def test_an_optional_file_is_followed_from_when_it_is_there(path, redis, caplog):
    path.unlink()
    file = BucketFile(path, ["new"], optional=True)
    file.follow(redis)
    assert rates(redis) == {"default": "10/s", "new": "10/s"}

    path.write_text('{"new": {"rate": "3/s"}}')
    file.follow(redis)
    assert rates(redis)["new"] == "3/s"
    assert not [record for record in caplog.records if record.levelname != "INFO"]

    path.unlink()
    file.follow(redis)
    assert rates(redis)["new"] == "3/s"
    assert caplog.messages[-1].endswith("the last good numbers stay in force")


def test_a_server_that_was_away_is_told_later(path, redis):
    file = BucketFile(path)
    file.follow(connect("redis://127.0.0.1:1", timeout=0.1))
    assert rates(redis) == {}

    file.follow(redis)

    assert rates(redis) == {"default": "10/s", "mail": "1/s"}


def test_threads_do_not_wait_for_each_other(file, path, redis, monkeypatch):
    path.write_text("{}")
    inside, go_on = threading.Event(), threading.Event()
    parse = bucket_file.parse_bucket_configs

    def slow(path, text):
        inside.set()
        go_on.wait(20)
        return parse(path, text)

    monkeypatch.setattr(bucket_file, "parse_bucket_configs", slow)
    first = threading.Thread(target=file.follow, args=[redis])
    first.start()
    inside.wait(20)

    file.follow(redis)  # returns though the other still reads

    assert first.is_alive()
    go_on.set()
    first.join(20)
    assert rates(redis)["default"] == "10/s"


def test_is_followed_from_a_thread(file, path, redis, monkeypatch):
    monkeypatch.setattr(bucket_file, "FILE_CHECK_SECONDS", 0.01)
    stop = file.follow_from_a_thread(redis, ["mail"])

    path.write_text('{"default": {"rate": "7/s"}, "mail": {"rate": "8/s"}}')

    wait_for(lambda: redis.hget(keys.bucket("mail"), "rate") == b"8/s")
    stop()
    assert redis.hget(keys.bucket("default"), "rate") == b"10/s"
