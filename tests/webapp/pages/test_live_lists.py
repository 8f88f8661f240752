"""Lists of jobs, failures and clients, as they change while somebody looks."""

import json
from collections import Counter

import pytest

from spigot.jobs.store import keys
from spigot.webapp.door.rate_limits.refusal_counts import write_refusals
from spigot.webapp.pages.list_lines import SHOWN_GROUPS
from spigot.webapp.pages.live_lists import MOST_FOLLOWED, _wanted
from spigot.webapp.pages.page_feed import PageFeed
from tests.support.problem_check import is_problem
from tests.support.round_trips import counted_round_trips

ADMIN = ("admin", "secret")


@pytest.fixture
def app(redis, redis_url, shared_app):
    return shared_app(redis, redis_url=redis_url, admin_password="secret")


@pytest.fixture
def follow(app):
    """Return a function that returns a function that returns the news of a list."""

    def follow(name, query=""):
        with app.test_request_context(f"/api/lists/{name}/events?{query}"):
            _, read = _wanted(name)
        feed, number = PageFeed(read, "list"), None

        def news():
            nonlocal number
            feed._read_at = 0.0
            number, event = feed.after(number)
            assert not event or event.startswith(b"event: list\n"), event
            return json.loads(event.partition(b"data: ")[2] or b"{}")

        return news

    return follow


def add(client):
    return client.post("/jobs", json={"type": "add", "payload": {"x": 1}}).json["id"]


def test_it_is_the_admins_alone(client):
    for name in ("jobs", "failures", "clients"):
        assert is_problem(client.get(f"/api/lists/{name}/events"), 401)
    assert is_problem(client.get("/api/lists/else/events", auth=ADMIN), 404)
    assert is_problem(client.get("/api/lists/jobs/events?status=x", auth=ADMIN), 400)


def test_a_job_that_leaves_the_list_is_followed(client, follow, work_off):
    news = follow("jobs", "status=queued")
    first, second = add(client), add(client)
    assert news()["order"] == [first, second]

    client.delete(f"/jobs/{first}")
    told = news()

    assert told["order"] == [second]
    assert told["lines"][first]["word"] == "cancelled"
    assert told["lines"][second] == {"when": "position 1"}


def test_a_job_that_is_kept_no_more_is_said_to_be_gone(client, follow, redis):
    news = follow("jobs")
    job_id = add(client)
    assert news()["lines"][job_id]["word"] == "waiting"

    redis.delete(keys.job(job_id), keys.queue("default"))

    assert news()["lines"][job_id]["word"] == "gone"


def test_what_is_new_is_in_the_order_of_the_list(client, follow):
    news = follow("jobs", "status=queued")
    first = add(client)
    news()

    second = add(client)

    assert news()["order"] == [first, second]


def test_a_search_is_not_repeated_at_each_look(client, follow, redis):
    news = follow("jobs", "type=add")
    job_id = add(client)
    assert news()["order"] == [job_id]
    add(client)

    with counted_round_trips() as sent:
        told = news()

    assert "order" not in told
    assert not any(b"LRANGE" in command or b"ZREVRANGE" in command for command in sent)


def test_a_bounded_number_of_jobs_is_followed(app, redis):
    with app.test_request_context("/api/lists/jobs/events?status=queued&limit=200"):
        _, read = _wanted("jobs")
    fields = {"status": "queued", "origin": "default", "data": "x"}
    for number in range(3):
        for job in range(200):
            job_id = f"{number}{job:031x}"
            redis.hset(keys.job(job_id), mapping=fields)
            redis.rpush(keys.queue("default"), job_id)
        picture = read()
        redis.delete(keys.queue("default"))

    assert len(picture.order) == 200
    assert len(picture.lines) == MOST_FOLLOWED
    assert set(picture.order) < picture.lines.keys()


def failure(redis, number, count=1):
    fields = {"bucket": "default", "error": "KeyError", "place": "a.py:1 in f", "types": "add"}
    numbers = {"count": count, "first_us": 10**15, "last_us": 10**15 + number}
    group = f"{number:016x}"
    redis.hset(keys.failure(group), mapping=fields | numbers | {"message": "KeyError: 1"})
    redis.zadd(keys.failures(), {group: number})
    return group


def test_a_group_of_failures_grows_in_place(follow, redis):
    news, group = follow("failures"), failure(redis, 1)
    assert news()["lines"][group]["count"] == "1"

    failure(redis, 1, count=1_200)

    assert news()["lines"] == {group: {"count": "1,200", "times": "times"}}


def test_only_the_groups_of_the_page_are_told_to_be_new(follow, redis):
    groups = [failure(redis, number) for number in range(SHOWN_GROUPS + 3)]

    assert follow("failures")()["order"] == groups[::-1][:SHOWN_GROUPS]
    assert follow("failures", f"after={SHOWN_GROUPS}")()["order"] == groups[::-1][SHOWN_GROUPS:]


def test_a_client_that_is_banned_meanwhile_can_be_unbanned(client, follow, redis):
    write_refusals(redis, Counter({("192.0.2.1", "default"): 3}))
    news = follow("clients")
    line = news()["lines"]["192.0.2.1"]
    assert (line["times"], line["can_ban"], line["can_unban"]) == ("3", "1", "")

    assert client.put("/clients/192.0.2.1/ban", json={}, auth=ADMIN).status_code == 200

    changes = news()["lines"]["192.0.2.1"]
    assert changes.pop("banned")
    assert changes == {"can_ban": "", "can_unban": "1"}


@pytest.mark.parametrize("path", ["/jobs?name=x&endpoint=y&after=0", "/failures?after=0"])
def test_what_a_page_does_not_know_in_its_address_is_ignored(client, path):
    answer = client.get(path, auth=ADMIN, headers={"Accept": "text/html"})

    assert answer.status_code == 200


def test_a_ban_is_asked_for_without_javascript(client, redis):
    write_refusals(redis, Counter({("192.0.2.1", "default"): 3}))
    page = client.get("/clients", auth=ADMIN, headers={"Accept": "text/html"}).text
    assert 'href="/clients?do=ban&amp;client=192.0.2.1"' in page

    asked = client.get(
        "/clients?do=ban&client=192.0.2.1", auth=ADMIN, headers={"Accept": "text/html"}
    ).text
    assert 'name="client" required autocomplete="off" value="192.0.2.1"' in asked
    asked = client.get(
        "/clients?do=unban&client=192.0.2.1", auth=ADMIN, headers={"Accept": "text/html"}
    ).text
    assert '<button class="main" name="action" value="unban" autofocus>Unban 192.0.2.1' in asked
