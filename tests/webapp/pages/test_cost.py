"""What pages weigh, and how often they ask the server: both are promises of docs/pages.md."""

import json
import random
import re
import time
from collections import Counter

import pytest
from redis import Redis

from spigot import create_app
from spigot.jobs.store import keys
from spigot.runtime.settings import load_settings
from spigot.webapp.door.rate_limits.refusal_counts import write_refusals
from tests.support.round_trips import counted_round_trips

ADMIN = ("admin", "secret")
MOST_BYTES = 100_000
BUCKETS = 20
HTML = {"Accept": "text/html"}
CELLS, CELL_SECONDS = 360, 5
JOB, RUNNING = f"{1:032x}", 12
HANDSHAKE = (b"HELLO", b"SETINFO")
"""What a new connection begins with; one that was idle may be replaced at any time."""


@pytest.fixture(scope="module")
def busy(redis_url, tmp_path_factory):
    """Twenty buckets, of which no two moments are alike, and whose lists are all full.

    Made once: the tests only read.
    """
    folder = tmp_path_factory.mktemp("many")
    (folder / "rate_limits.json").write_text("{}")
    names = ["default", "narrow", *(f"bucket_{n:02}" for n in range(2, BUCKETS))]
    buckets = {name: {"rate": f"{n + 1}/s", "capacity": 500} for n, name in enumerate(names)}
    (folder / "buckets.json").write_text(json.dumps(buckets))
    settings = load_settings(
        redis_url=redis_url,
        apps=("tests.support.minimal_app",),
        buckets=folder / "buckets.json",
        rate_limits=folder / "rate_limits.json",
        admin_password="secret",
    )
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
        client = create_app(settings).test_client()
        client.get("/buckets")  # publishes them
        fill_buckets(redis, client, names)
        yield client
        redis.flushall()


def fill_buckets(redis, client, names):
    chance = random.Random(7)
    for number, name in enumerate(names):
        redis.set(f"{keys.bucket(name)}:history", uneven_past(chance, number))
        client.patch(f"/buckets/{name}", json={"paused": True}, auth=ADMIN)
        held = {"held_until_us": 4 * 10**15, "hold_reason": "RateLimited: 429 Too Many Requests"}
        redis.hset(keys.bucket(name), mapping=held if number % 2 else {"paused": 0})
    with redis.pipeline(transaction=False) as pipeline:
        fill_lists(pipeline)
        pipeline.execute()
    write_refusals(redis, Counter({(f"192.0.2.{n}", "default"): n for n in range(1, 250)}))


def fill_lists(redis):
    for number in range(RUNNING):
        add_job(redis, f"{number:032x}", "started")
        redis.zadd(keys.running("default"), {f"{number:032x}:token": 1})
    for number in range(60):
        group = {"bucket": "default", "error": "E", "place": f"a.py:{number}", "types": "add"}
        counts = {"count": 7, "first_us": 10**15, "last_us": 10**15, "message": "E: " + 99 * "x"}
        redis.hset(keys.failure(f"{number:016x}"), mapping=group | counts)
        redis.zadd(keys.failures(), {f"{number:016x}": number})
        add_job(redis, f"a{number:031x}", "queued")
        redis.rpush(keys.queue("default"), f"a{number:031x}")
        add_job(redis, f"f{number:031x}", "failed")
        redis.zadd(keys.failed("default"), {f"f{number:031x}": time.time() + 86400})


def uneven_past(chance, number):
    last = int(time.time()) // CELL_SECONDS
    cells = {}
    for cell in range(last - CELLS, last):
        starts, waiting = chance.randrange(5 * number + 5), chance.randrange(60)
        cells[cell % CELLS] = f"{cell:9d}{starts:7d}{waiting:8d}{10**6 // (number + 1):12d}{0:11d}"
    return "".join(cells[place] for place in range(CELLS))


def add_job(redis, job_id, status):
    progress = json.dumps({"done": 3, "total": 10, "note": "page 3 of 10"})
    fields = {"data": "x", "origin": "default", "spigot_type": "add", "spigot_progress": progress}
    redis.hset(keys.job(job_id), mapping={"status": status, "spigot_enqueued_us": 1, **fields})


def files_of(client, page):
    """Return the addresses of all that a page has the browser load, and what that loads."""
    found = re.findall(r'(?:rel="(?:icon|stylesheet)" href|src)="(/[^"]+)"', page)
    for address in found:
        with client.get(address) as file:
            imported = re.findall(r'from "\./([\w.]+)"', file.text if ".js" in address else "")
        found += [f"/static/{name}" for name in imported if f"/static/{name}" not in found]
    return found


def weight(client, path, auth):
    page = client.get(path, auth=auth, headers=HTML)
    assert page.status_code == 200, page.text
    assert page.headers.get("Content-Encoding") is None
    sizes = {path: len(page.data)}
    for address in files_of(client, page.text):
        with client.get(address) as file:
            assert file.status_code == 200, address
            sizes[address] = len(file.data)
    return sizes


@pytest.mark.parametrize("auth", [ADMIN, None])
def test_the_overview_of_twenty_buckets_weighs_100_kb_with_all_its_files(busy, auth):
    sizes = weight(busy, "/", auth)

    assert busy.get("/", auth=auth).text.count("<article ") == BUCKETS + 1  # and the template
    assert {"/static/pages.css", "/static/live.js", "/static/elements.js"} < sizes.keys()
    assert sum(sizes.values()) <= MOST_BYTES, sizes


PAGES = [f"/jobs/{JOB}", "/buckets/default", "/jobs", "/failures", "/clients", "/docs"]


@pytest.mark.parametrize("path", PAGES)
def test_no_other_page_weighs_more(busy, path):
    sizes = weight(busy, path, ADMIN)

    assert sum(sizes.values()) <= MOST_BYTES, sizes


@pytest.mark.parametrize(
    ("path", "most"),
    [
        (
            "/",
            7,
        ),  # names, all buckets, refused; what runs: how many, which, is the script there, jobs
        ("/buckets/default", 3),
        (f"/jobs/{JOB}", 7),
        ("/jobs?status=queued", 10),
        ("/jobs?status=failed", 10),
        ("/failures", 5),
        ("/clients", 4),
        ("/docs", 2),
    ],
)
def test_a_page_asks_the_server_as_often_whatever_there_is(busy, path, most):
    busy.get(path, auth=ADMIN, headers=HTML)  # scripts are loaded

    with counted_round_trips() as sent:
        assert busy.get(path, auth=ADMIN, headers=HTML).status_code == 200

    asked = [command for command in sent if not any(word in command for word in HANDSHAKE)]
    assert len(asked) <= most, [command[:60] for command in asked]
