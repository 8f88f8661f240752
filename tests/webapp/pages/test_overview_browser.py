"""The overview as browsers show it, with real workers behind it."""

import time

import pytest

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.runtime.rate import Rate
from tests.support.browser import DEADLINE_SECONDS, chromium
from tests.support.fleet import Fleet
from tests.support.processes import wait_for
from tests.support.servers import own_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

ATTACK = "<img src=x onerror=window.attacked=1><script>window.attacked=1<!-- "


@pytest.fixture(scope="module")
def windows(open_window):
    """One of a stranger, one of the admin."""
    stranger, admin = open_window(), open_window()
    admin.log_in("/admin")
    return stranger, admin


@pytest.fixture
def browsers(windows, redis, watched):
    for window in windows:
        window.open("/")
    return [watched(window) for window in windows]


@pytest.fixture
def stranger(browsers):
    return browsers[0]


@pytest.fixture
def admin(browsers):
    return browsers[1]


CARD = '[data-card="default"]'
TOOTH_SECONDS = 15
"""What the picture shows as one."""


def test_buckets_are_shown_as_they_change(stranger, web, redis):
    for _ in range(3):
        web.submit()
    stranger.wait_for_text("no worker is alive", CARD)
    stranger.wait_for_text("3\nof", f"{CARD} .level")

    BucketControl(redis, by="test").set(
        "default", BucketChange(paused=True, rate=Rate.parse("7/m"))
    )

    stranger.wait_for_text("paused", CARD)
    stranger.wait_for_text("7/m", CARD)


def test_a_hold_is_shown_with_its_reason(admin, web, fleet):
    with fleet.workers():
        web.submit("refused", name="held", times=9, seconds=600)
        admin.wait_for_text("held 9:5", f"{CARD} .why")
        admin.wait_for_text("the downstream asked to wait", f"{CARD} .why")


def test_the_line_follows_a_changed_rate(admin, web, fleet, redis):
    rate = f'return document.querySelector(`{CARD} path.rate`).getAttribute("d")'
    with fleet.workers():
        web.submit()
        first_is_drawn = time.monotonic() + TOOTH_SECONDS + 1
        admin.wait_for(lambda: time.monotonic() > first_is_drawn, "tooth of its own")
        BucketControl(redis, by="test").set("default", BucketChange(rate=Rate.parse("3/s")))
        admin.wait_for_text("3/s", CARD)

        def has_step():
            web.submit()  # a start tells the history its rate
            return "v" in admin.run(rate)

        admin.wait_for(has_step, "a step")


def test_focus_and_selection_stay_while_the_page_changes(admin, web, fleet):
    admin.run("document.querySelector('.top nav a').focus()")
    node = "return document.querySelector(arguments[0])"
    card, link = admin.run(node, CARD), admin.run("return document.activeElement")
    web.submit()
    admin.wait_for_text("1\nof", f"{CARD} .level")

    assert admin.run("return document.activeElement") == link
    assert admin.run(node, CARD) == card


LINKS_OF_A_CARD = {
    "stranger": [],
    "admin": [
        "/buckets/new_one",
        "/jobs?status=failed&bucket=new_one",
        "/buckets/new_one?do=release",
        "/buckets/new_one?do=resume",
        "/buckets/new_one?do=pause",
    ],
}


@pytest.mark.parametrize("audience", LINKS_OF_A_CARD)
def test_a_new_bucket_appears_and_the_page_stays(request, audience, redis):
    window, card = request.getfixturevalue(audience), '[data-card="new_one"]'
    window.run("document.querySelector('.top nav a').focus(); window.stays = true")

    BucketPublisher(redis).publish({"new_one": BucketConfig(rate="9/m")})

    window.wait_for_text("9/m", f"#cards > {card}")
    assert window.run("return window.stays && document.activeElement.matches('.top nav a')")
    assert window.text(f"{card} h3") == "new_one"
    links = "[...document.querySelectorAll(arguments[0])]"
    hrefs = window.run(f"return {links}.map(link => link.getAttribute('href'))", f"{card} a")
    assert hrefs == LINKS_OF_A_CARD[audience]


def test_the_admin_sees_a_job_from_start_to_end(admin, web, fleet):
    with fleet.workers():
        job_id = web.submit("count", reports=30, seconds=6)
        admin.wait_for_text(job_id[:8], '[data-rows="running"]')
        admin.wait_for_text("number", '[data-rows="running"]')
        admin.wait_for(lambda: job_id[:8] not in admin.text(), "end of the job")


def test_a_stranger_sees_no_job(stranger, web, fleet):
    with fleet.workers():
        job_id = web.submit("count", reports=10, seconds=2)
        stranger.wait_for_text("keeps up", CARD)
        assert job_id[:8] not in stranger.run("return document.documentElement.innerHTML")
        wait_for(lambda: web.status_of(job_id) == "finished", DEADLINE_SECONDS)


def test_a_strangers_text_is_shown_and_not_run(admin, web, fleet, redis):
    redis.hset(
        "spigot:1:bucket:default", mapping={"hold_reason": ATTACK, "held_until_us": 4 * 10**15}
    )
    admin.wait_for_text("<img src=x onerror=window.attacked=1>", f"{CARD} .why")


def test_it_is_whole_without_javascript(web, tmp_path):
    web.submit()
    with chromium(web.url, tmp_path) as browser:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        browser.open("/")
        assert browser.attribute(f"{CARD} .tap path", "d")
        assert "Load again" in browser.text("noscript a")


def test_a_server_that_is_away_is_said_until_it_is_back(tmp_path):
    with own_server() as server:
        fleet = Fleet(server.url, tmp_path)
        with fleet.web() as web, chromium(web.url, tmp_path) as browser:
            browser.open("/")
            browser.wait_for_text("live,", "#live")
            server.hang()
            browser.wait_for_text("Not up to date: the server that keeps the jobs", "#news")
            assert "default" in browser.text(CARD)
            server.go_on()
            browser.wait_for_text("live,", "#live")


def heading(browser):
    return next(found.text for found in browser.all("h1") if found.is_displayed())


def test_nothing_is_claimed_while_the_server_is_away(tmp_path):
    with own_server() as server:
        fleet = Fleet(server.url, tmp_path, settings={"SPIGOT_ADMIN_PASSWORD": "secret"})
        with fleet.web() as web, chromium(web.url, tmp_path) as browser:
            browser.log_in("/admin")
            browser.open("/")
            assert heading(browser) == "No bucket needs you"
            assert browser.text(f"{CARD} .state") == "idle"
            seen = browser.driver.title

            server.hang()
            browser.wait_for_text("Not up to date", "#news")

            assert heading(browser) == "How the buckets are is not known now"
            assert browser.text(".lead .unknown:not(h1)") == "Last seen: No bucket needs you."
            assert "needs you" not in browser.driver.title
            word = (
                "return getComputedStyle(document.querySelector(arguments[0]), '::before').content"
            )
            assert browser.run(word, f"{CARD} .state span") == '"last: "'

            server.go_on()
            browser.wait_for_text("live,", "#live")
            assert heading(browser) == "No bucket needs you"
            assert browser.driver.title == seen
