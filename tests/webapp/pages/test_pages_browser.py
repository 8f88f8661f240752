"""The pages and their buttons in a browser, with real workers behind them; one web for all."""

from collections import Counter

import pytest

from spigot.jobs.bucket.control import BucketControl
from spigot.webapp.door.rate_limits.refusal_counts import write_refusals
from tests.support.browser import DEADLINE_SECONDS
from tests.support.processes import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ATTACK = "<img src=x onerror=window.attacked=1><script>window.attacked=1<!-- "


RULES = '{"rules": {"dlitem": {"enabled": false}}}'
"""The axe that the package brings is of 2018, and does not know HTML's groups in a ``dl``."""


@pytest.fixture(scope="module")
def window(open_window):
    window = open_window()
    window.log_in("/admin")
    return window


@pytest.fixture
def browser(window, redis, watched):
    return watched(window)


def press(browser, scope, label, button):
    """Press a button, read its sentence, and press the second one."""
    browser.click(f"{scope} summary", label)
    browser.wait_for_sight(f"{scope} details[open] form p")
    browser.click(f"{scope} details[open] {button}")


def test_a_bucket_is_paused_and_resumed_on_its_page(browser, web):
    web.submit()
    browser.open("/buckets/default")
    press(browser, "main", "Pause", "button")
    browser.wait_for_text("is paused.", ".news.ok")
    assert browser.run("return document.activeElement.className") == "news ok"
    assert web.ask("GET", "/buckets/default")[1]["paused"] is True

    press(browser, "main", "Resume", "button")
    browser.wait_for_text("resumed", ".news.ok")
    assert web.ask("GET", "/buckets/default")[1]["paused"] is False
    browser.wait_for_text("paused it", ".log")


def test_a_hold_is_released_from_the_overview(browser, web, fleet):
    with fleet.workers():
        web.submit("refused", name="held once", times=1, seconds=600)
        wait_for(lambda: web.ask("GET", "/buckets/default")[1]["held_until"], DEADLINE_SECONDS)
        browser.open("/")
        browser.wait_for_text("live,", "#live")
        browser.click('[data-card="default"] .acts a', "Release")
        browser.wait_for_text("Release default", "dialog[open] h2")
        browser.click("dialog[open] button.main")
        browser.wait_for_text("released", ".news.ok")
        wait_for(lambda: not web.ask("GET", "/buckets/default")[1]["held_until"], 30)


def test_a_form_that_was_opened_by_mistake_is_left_with_the_keyboard(browser, web):
    from selenium.webdriver.common.keys import Keys

    web.submit()
    browser.open("/")
    browser.wait_for_text("live,", "#live")
    browser.press('[data-card="default"] .acts a:not([hidden])', Keys.ENTER)
    browser.wait_for_text("Pause default", "dialog[open] h2")
    browser.press("dialog[open] button.main", Keys.ESCAPE)
    browser.wait_for(lambda: not browser.all("dialog[open]"), "closed form")
    focus = "return document.activeElement.textContent"
    browser.wait_for(lambda: browser.run(focus) == "Pause…", "focus where it was")
    assert web.ask("GET", "/buckets/default")[1]["paused"] is False


def test_a_bucket_is_paused_from_the_overview_without_javascript(browser, web):
    web.submit()
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open("/")
        browser.click('[data-card="default"] .acts a', "Pause")
        browser.click("details[open] button", "Pause default")
        browser.wait_for(lambda: web.ask("GET", "/buckets/default")[1]["paused"], "pause")
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_job_counts_down_to_its_start_and_shows_its_end(browser, web, fleet, redis):
    assert web.ask("GET", "/buckets")[0] == 200  # which publishes them
    BucketControl(redis, by="test").set("default", wanted(rate="20/m"))
    jobs = [web.submit("count", reports=5, seconds=2) for _ in range(3)]
    browser.open(f"/jobs/{jobs[2]}")
    browser.wait_for_text("position 3 of 3", ".place")
    with fleet.workers():
        browser.wait_for_text("starts in", ".clock-label")
        browser.wait_for_text("running", "h1 + .state")
        browser.wait_for_text("finished", "h1 + .state")
        browser.wait_for_sight("#result")
    assert "Cancel" not in browser.text(".title")


def wanted(**changes):
    from spigot.jobs.bucket.control import BucketChange

    return BucketChange.model_validate(changes)


def test_failures_are_requeued_from_their_group(browser, web, fleet):
    failed = web.submit("fall", name=ATTACK, times=9)
    with fleet.workers():
        wait_for(lambda: web.status_of(failed) == "failed", DEADLINE_SECONDS)
    browser.open("/failures")
    browser.click("a.button")
    browser.wait_for_text(failed[:8], "table")
    press(browser, "article", "Requeue all", "button")
    browser.wait_for_text("1 job waits again", ".news.ok")
    assert web.status_of(failed) in ("queued", "delayed")


def test_a_job_is_cancelled_with_the_keyboard_alone(browser, web):
    from selenium.webdriver.common.keys import Keys

    job_id = web.submit()
    browser.open(f"/jobs/{job_id}")
    browser.press(".title summary", Keys.ENTER)
    browser.wait_for_sight("details[open]")
    browser.press(".title summary", Keys.ESCAPE)
    browser.wait_for(lambda: not browser.all("details[open]"), "closed form")
    assert browser.run("return document.activeElement.tagName") == "SUMMARY"

    browser.press(".title summary", Keys.ENTER)
    browser.press("details[open] button", Keys.ENTER)
    browser.wait_for_text("cancelled", "h1 + .state")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_phone(browser, web, scheme):
    from axe_selenium_python import Axe

    browser.driver.set_script_timeout(120)
    job_id = web.submit()
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    for width in (1280, 390):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        paths = (
            "/",
            "/buckets/default",
            f"/jobs/{job_id}",
            "/jobs",
            "/failures",
            "/clients",
            "/docs",
        )
        for path in paths:
            browser.open(path)
            browser.wait_for_sight("main")
            assert browser.run("return document.documentElement.scrollWidth") <= width, path
            axe = Axe(browser.driver)
            browser.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
            browser.open(path)
            axe.inject()
            part = {
                "include": [["#try-echo" if path == "/docs" else "body"]]
            }  # or it takes minutes
            violations = axe.run(context=part, options=RULES)["violations"]
            browser.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": False})
            assert violations == [], axe.report(violations)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_long_name_fits_into_the_forms_of_its_bucket(browser, web, redis, width):
    from spigot.jobs.bucket.config import BucketConfig
    from spigot.jobs.bucket.publishing import BucketPublisher

    name = "_".join(["long"] * 15)
    BucketPublisher(redis).publish({name: BucketConfig()})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.open(f"/buckets/{name}")
    wider = """
        return [...document.querySelectorAll("details.do")].filter((details) => {
            details.open = true;
            const form = details.querySelector("form").getBoundingClientRect();
            const inside = [...details.querySelectorAll("form *")];
            const right = Math.max(...inside.map((one) => one.getBoundingClientRect().right));
            return right > form.right || form.right > innerWidth || form.left < 0;
        }).map((details) => details.textContent)"""

    assert browser.run(wider) == []


def test_a_job_is_sent_by_its_form_and_leads_to_its_page(browser, web):
    browser.open("/docs#try-echo")
    field = '#try-echo form input[name="field.text"]'
    browser.on(field, lambda found: found.clear())
    browser.press(field, ATTACK)
    browser.click("#try-echo form button")
    browser.wait_for_text("position 1", ".place")
    browser.wait_for_text("echo", "h1")


def test_a_list_says_what_became_of_its_lines_and_counts_what_is_new(browser, web):
    first = web.submit()
    browser.open("/jobs")
    browser.wait_for_text("live,", "#live")
    line = f'[data-row="{first}"]'
    browser.run("document.querySelector(arguments[0]).focus()", f"{line} a")
    node, focus = "return document.querySelector(arguments[0])", "return document.activeElement"
    row, link = browser.run(node, line), browser.run(focus)

    web.submit()
    assert web.ask("DELETE", f"/jobs/{first}")[0] == 200

    browser.wait_for_text("cancelled", line)
    browser.wait_for_text("for 1 new job", "#newer")
    assert (browser.run(node, line), browser.run(focus)) == (row, link)
    browser.click("#newer a")
    browser.wait_for(lambda: len(browser.all("[data-row]")) == 2, "both jobs")


def test_a_client_is_banned_and_unbanned_in_its_line(browser, web, redis):
    write_refusals(redis, Counter({("192.0.2.1", "default"): 3}))
    browser.open("/clients")
    browser.wait_for_text("live,", "#live")
    browser.click('[data-row="192.0.2.1"] a', "Ban")
    browser.click("dialog[open] button.harm", "Ban 192.0.2.1")
    browser.wait_for_text("is shut out", ".news.ok")

    browser.wait_for_text("live,", "#live")
    browser.click('[data-row="192.0.2.1"] a', "Unban")
    browser.click("dialog[open] button.main", "Unban 192.0.2.1")
    browser.wait_for_text("may come in again", ".news.ok")
