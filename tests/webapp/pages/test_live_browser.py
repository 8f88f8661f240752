"""The live page as browsers show it, with real workers behind it."""

import pytest

from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.runtime.rate import Rate
from tests.support.browser import DEADLINE_SECONDS, chromium
from tests.support.fleet import Fleet
from tests.support.processes import wait_for
from tests.support.servers import own_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("pages in a browser"),
]

ATTACK = "<img src=x onerror=window.attacked=1><script>window.attacked=1<!-- "


@pytest.fixture(scope="module")
def fleet(redis_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    return Fleet(redis_url, folder, settings={"SPIGOT_ADMIN_PASSWORD": "secret"})


@pytest.fixture(scope="module")
def web(fleet):
    with fleet.web() as web:
        yield web


@pytest.fixture(scope="module")
def windows(web, tmp_path_factory):
    """One of a stranger, one of the admin."""
    url = f"http://{web.host}:{web.port}"
    with (
        chromium(url, tmp_path_factory.mktemp("stranger")) as stranger,
        chromium(url, tmp_path_factory.mktemp("admin")) as admin,
    ):
        admin.log_in("/admin")
        yield stranger, admin


@pytest.fixture
def browsers(windows, redis):
    """Both, and in the end a look at what they complained of."""
    for window in windows:
        window.open("/")
        window.complaints()
    yield windows
    for window in windows:
        assert window.run("return window.attacked") is None
        assert window.complaints() == []


@pytest.fixture
def stranger(browsers):
    return browsers[0]


@pytest.fixture
def admin(browsers):
    return browsers[1]


def submit(web, type="echo", **payload):
    status, job = web.ask("POST", "/jobs", {"type": type, "payload": payload})
    assert status == 202, job
    return job["id"]


def status(web, job_id):
    return web.ask("GET", f"/jobs/{job_id}")[1]["status"]


def test_buckets_are_shown_as_they_change(stranger, web, redis):
    stranger.wait_for_text("no worker is alive", "#buckets")
    for _ in range(3):
        submit(web)
    stranger.wait_for(lambda: "3" in stranger.text("#buckets td.number"), "three that wait")

    BucketControl(redis, by="test").set(
        "default", BucketChange(paused=True, rate=Rate.parse("7/m"))
    )

    stranger.wait_for_text("paused", "#buckets")
    stranger.wait_for_text("7/m", "#buckets")


def test_a_hold_is_shown_with_its_reason(stranger, web, fleet):
    with fleet.workers():
        submit(web, "refused", name="held", times=9, seconds=600)
        stranger.wait_for_text("held for", "#buckets")
        stranger.wait_for_text("RateLimited", "#buckets")


def test_the_admin_sees_a_job_from_start_to_end(admin, web, fleet):
    with fleet.workers():
        job_id = submit(web, "count", reports=30, seconds=6)
        admin.wait_for_text(job_id[:8], "#running")
        admin.wait_for_text("of 30 number", "#running")
        admin.wait_for_text("finished", "#ended")
    address = admin.find("#ended a").get_attribute("href")
    assert address.endswith(f"/rq/0/view/job/{job_id}")


def test_a_stranger_sees_no_job(stranger, admin, web):
    job_id = submit(web)
    web.ask("DELETE", f"/jobs/{job_id}")

    admin.wait_for_text(job_id[:8], "#ended")

    stranger.wait_for_text("no worker is alive", "#buckets")
    assert job_id[:8] not in stranger.run("return document.documentElement.innerHTML")
    assert stranger.all("#ended, #running, #refused") == []


def test_a_strangers_text_is_shown_and_not_run(admin, web, fleet):
    failed = submit(web, "fall", name=ATTACK, times=9)
    with fleet.workers():
        wait_for(lambda: status(web, failed) == "failed", DEADLINE_SECONDS)

    admin.wait_for_text("<img src=x onerror=window.attacked=1>", "#ended")


def test_a_server_that_is_away_is_said_until_it_is_back(tmp_path):
    with own_server() as server:
        fleet = Fleet(server.url, tmp_path)
        with fleet.web() as web, chromium(f"http://{web.host}:{web.port}", tmp_path) as browser:
            browser.open("/")
            browser.wait_for_text("As of", "#news")
            server.hang()
            browser.wait_for_text("Not up to date: the server that keeps the jobs", "#news")
            assert "default" in browser.text("#buckets")
            server.go_on()
            browser.wait_for_text("As of", "#news")
