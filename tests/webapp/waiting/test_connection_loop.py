"""The thread that holds waiting connections, on a real server; what is said is tested elsewhere."""

import json
import socket
import time
from http.client import HTTPResponse

import pytest
from werkzeug.datastructures import Headers

from spigot.jobs.job.events import JobEvents
from spigot.jobs.job.state import JobReader
from spigot.jobs.store import keys
from spigot.runtime.server.redis_connection import connect
from spigot.webapp.routes.one_job import job_answer
from spigot.webapp.waiting import job_changes, parked_connection
from spigot.webapp.waiting.connection_loop import ConnectionLoop
from spigot.webapp.waiting.event_stream import EventStream
from spigot.webapp.waiting.long_poll import LongPoll
from tests.support.clocked_bucket import ClockedBucket
from tests.support.processes import wait_for

SECONDS = 20
"""How long a test waits for what it expects at once: the machine may be busy."""


class CountingReader(JobReader):
    """Counts what is read."""

    def __init__(self, redis):
        super().__init__(redis)
        self.read_ids: list[str] = []

    def read_many(self, job_ids):
        ids = list(job_ids)
        self.read_ids += ids
        return super().read_many(ids)


class Client:
    """The other end of a parked connection."""

    def __init__(self, loop, response):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(SECONDS)
        loop.park(theirs, response, Headers())
        self._file = self.socket.makefile("rb")

    def next_job(self):
        """Return the job of the next event; None at the end of the stream."""
        for line in self._file:
            if line.startswith(b"data: "):
                return json.loads(line[6:])
        return None

    def answer(self):
        """Return status and body of a late answer."""
        response = HTTPResponse(self.socket)
        response.begin()
        return response.status, json.loads(response.read())

    def hang_up(self):
        self._file.close()
        self.socket.close()


@pytest.fixture
def clients():
    made = []
    yield made
    for client in made:
        client.hang_up()


@pytest.fixture
def loop(redis_url, monkeypatch):
    monkeypatch.setattr(job_changes, "EVENT_WAIT_SECONDS", 0.05)
    with connect(redis_url, timeout=0.5) as redis:
        loop = ConnectionLoop(CountingReader(redis), JobEvents(redis), most=500)
        yield loop
        loop.close()
        if loop._changes._thread is not None:  # uses the connection as long as it runs
            loop._changes._thread.join(SECONDS)


@pytest.fixture
def stream(loop, bucket, clients):
    """Return a function that listens to a job."""

    def listen(job_id, last_id=None):
        client = Client(loop, EventStream(bucket.reader.read(job_id), last_id))
        clients.append(client)
        return client

    return listen


@pytest.fixture
def wait(loop, bucket, clients):
    """Return a function that waits for a job."""

    def begin(job_id, seconds):
        client = Client(loop, LongPoll(bucket.reader.read(job_id), seconds, job_answer))
        clients.append(client)
        return client

    return begin


def test_a_listener_is_told_the_present_state_and_each_change(bucket, stream):
    bucket.enqueue("a", "retried")
    client = stream("a")
    told = [client.next_job()["status"]]
    claim = bucket.claim()
    told.append(client.next_job()["status"])
    bucket.retry(claim, delay=1)
    told.append(client.next_job()["status"])
    bucket.sleep(1)
    claim = bucket.claim()
    told.append(client.next_job()["status"])
    bucket.finish(claim)
    told.append(client.next_job()["status"])

    assert told == ["queued", "started", "delayed", "started", "finished"]
    assert client.next_job() is None


def test_each_changed_job_is_read_once_however_many_listen(bucket, stream, loop):
    bucket.enqueue("a")
    listening = [stream("a") for _ in range(100)]
    for client in listening:
        client.next_job()
    wait_for(lambda: len(loop._reader.read_ids) >= 1)
    bucket.enqueue("other")
    claim = bucket.claim()
    assert all(client.next_job()["status"] == "started" for client in listening)
    before = len(loop._reader.read_ids)
    assert "other" not in loop._reader.read_ids

    bucket.finish(claim)

    assert all(client.next_job()["status"] == "finished" for client in listening)
    wait_for(lambda: loop.count == 0)
    # none if one that had begun saw the end already
    assert loop._reader.read_ids[before:] in (["a"], [])


def test_one_connection_hears_for_all(bucket, stream, redis):
    for number in range(20):
        bucket.enqueue(f"job-{number}")
        stream(f"job-{number}").next_job()

    wait_for(lambda: redis.pubsub_numsub(keys.job_events()) == [(keys.job_events().encode(), 1)])


def test_a_change_between_request_and_arrival_is_told(bucket, loop, clients):
    bucket.enqueue("a")
    response = EventStream(bucket.reader.read("a"))
    bucket.finish(bucket.claim())

    client = Client(loop, response)
    clients.append(client)

    assert [client.next_job()["status"], client.next_job()["status"]] == ["queued", "finished"]


def test_a_long_poll_is_answered_when_the_job_ends(bucket, wait):
    bucket.enqueue("a")
    client = wait("a", SECONDS)
    bucket.finish(bucket.claim(), '"done"')

    status, job = client.answer()
    assert (status, job["status"], job["result"]) == (200, "finished", "done")


def test_a_long_poll_gets_the_present_position_when_its_time_is_over(bucket, wait):
    for number in range(3):
        bucket.enqueue(f"job-{number}")
    began = time.monotonic()
    client = wait("job-2", 0.5)
    bucket.cancel("job-0")

    status, job = client.answer()
    assert (status, job["status"], job["position"]) == (200, "queued", 2)
    assert time.monotonic() - began >= 0.5


def test_a_client_that_hangs_up_is_forgotten(bucket, stream, loop):
    bucket.enqueue("a")
    client = stream("a")
    client.next_job()
    assert loop.count == 1

    client.hang_up()

    wait_for(lambda: loop.count == 0)
    assert not loop._by_job
    assert not loop._changes._watched


def test_a_client_that_reads_nothing_holds_up_nobody(bucket, stream, loop, monkeypatch):
    monkeypatch.setattr(parked_connection, "MOST_UNSENT_BYTES", 500_000)
    bucket.enqueue("a", "retried")
    slow, quick = stream("a"), stream("a")
    for _ in range(4):
        claim = bucket.claim()
        bucket.retry(claim, delay=0, error="x" * 300_000)
        while quick.next_job()["status"] != "queued":
            pass

    wait_for(lambda: loop.count == 1)
    bucket.finish(bucket.claim())
    while quick.next_job() is not None:
        pass
    assert slow.socket.recv(100).startswith(b"HTTP/1.1 200 OK")  # it may come back


def test_a_client_that_is_gone_without_a_word_is_dropped(bucket, stream, loop, monkeypatch):
    monkeypatch.setattr(parked_connection, "seconds_for", lambda taken: 0.1)
    monkeypatch.setattr(job_changes, "READ_ALL_SECONDS", 0.2)
    bucket.enqueue("a")
    stream("a")
    bucket.finish(bucket.claim(), json.dumps("x" * 3_000_000))

    wait_for(lambda: loop.count == 0)


def test_a_large_result_is_sent_whole(bucket, stream):
    bucket.enqueue("a")
    client = stream("a")
    client.next_job()
    bucket.finish(bucket.claim(), json.dumps("x" * 3_000_000))

    while (job := client.next_job())["status"] != "finished":
        pass
    assert len(job["result"]) == 3_000_000


def test_a_job_that_is_deleted_ends_its_streams(bucket, stream, redis):
    bucket.enqueue("a")
    client = stream("a")
    client.next_job()
    redis.delete(keys.job("a"))
    redis.publish(keys.job_events(), "a")

    assert client.next_job() is None


def test_what_plain_rq_cancels_is_told_although_it_says_nothing(bucket, stream, redis, monkeypatch):
    monkeypatch.setattr(job_changes, "READ_ALL_SECONDS", 0.3)
    bucket.enqueue("a")
    client = stream("a")
    client.next_job()
    redis.hset(keys.job("a"), "status", "canceled")

    assert client.next_job()["status"] == "cancelled"
    assert client.next_job() is None


def test_listening_ends_some_time_after_the_last_listener(bucket, stream, redis, monkeypatch):
    monkeypatch.setattr(job_changes, "LINGER_SECONDS", 0.1)

    def subscribers():
        return redis.pubsub_numsub(keys.job_events())[0][1]

    bucket.enqueue("a")
    client = stream("a")
    wait_for(lambda: subscribers() == 1)
    client.hang_up()
    wait_for(lambda: subscribers() == 0)

    again = stream("a")
    again.next_job()
    bucket.finish(bucket.claim())
    while (job := again.next_job())["status"] != "finished":
        pass
    assert job["id"] == "a"


def test_one_broken_talk_ends_no_other(bucket, stream, loop, clients, caplog):
    class Broken(EventStream):
        def on_job(self, job):
            raise KeyError("broken")

        def begin(self, headers):
            return b""

    bucket.enqueue("a")
    client = stream("a")
    client.next_job()
    clients.append(Client(loop, Broken(bucket.reader.read("a"))))
    bucket.finish(bucket.claim())

    while client.next_job()["status"] != "finished":
        pass
    wait_for(lambda: "KeyError: 'broken'" in caplog.text)
    wait_for(lambda: loop.count == 0)


class TestClosing:
    def test_ends_streams_and_answers_long_polls(self, bucket, stream, wait, loop):
        bucket.enqueue("a")
        streaming, waiting = stream("a"), wait("a", 60)
        streaming.next_job()

        loop.close()

        assert streaming.next_job() is None
        assert waiting.answer()[0] == 200

    def test_ends_the_threads(self, begun_threads, bucket, stream, loop):
        bucket.enqueue("a")
        stream("a").next_job()
        assert begun_threads() == {"waiting-clients", "job-events"}

        loop.close()

        wait_for(lambda: not begun_threads())

    def test_takes_nobody_any_more(self, bucket, stream, loop):
        bucket.enqueue("a")
        stream("a").next_job()
        loop.close()

        assert stream("a").next_job() is None

    def test_needs_no_thread_that_was_never_started(self, loop):
        loop.close()


class TestAnAbsentServer:
    @pytest.fixture
    def redis_url(self, server):
        return server.url

    @pytest.fixture
    def redis(self, server):
        with connect(server.url, timeout=5) as redis:
            yield redis

    def test_that_hangs_delays_what_is_told_and_loses_nothing(
        self, server, redis, bucket, stream, loop
    ):
        bucket.enqueue("a")
        client = stream("a")
        client.next_job()
        server.hang()
        time.sleep(0.2)
        server.go_on()
        bucket.finish(bucket.claim())

        while (job := client.next_job())["status"] != "finished":
            pass
        assert job["id"] == "a"

    def test_that_was_restarted_with_its_data_is_read_again(self, server, bucket, stream):
        bucket.enqueue("a")
        client = stream("a")
        client.next_job()

        server.kill()
        server.start()  # empty: the jobs are put there anew, as another host may have done
        later = ClockedBucket(connect(server.url, timeout=5))
        later.enqueue("a")
        later.finish(later.claim())

        while (job := client.next_job())["status"] != "finished":
            pass
        assert job["id"] == "a"

    def test_that_is_gone_is_503_for_a_long_poll_whose_time_is_over(self, server, bucket, wait):
        bucket.enqueue("a")
        client = wait("a", 0.3)
        server.kill()

        status, problem = client.answer()
        assert (status, problem["status"]) == (503, 503)

    def test_that_came_back_in_time_does_not_matter(self, server, redis, bucket, wait):
        bucket.enqueue("a")
        client = wait("a", SECONDS)
        server.hang()
        time.sleep(0.2)
        server.go_on()
        bucket.finish(bucket.claim())

        assert client.answer()[1]["status"] == "finished"
