"""Logging in by a link in a real browser."""

import pytest
from redis import Redis

from spigot.webapp.http.sessions import Sessions
from tests.support.browser import chromium
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_button_of_the_link_logs_in_and_another_logs_out(redis_url, tmp_path):
    fleet = Fleet(redis_url, tmp_path, settings={"SPIGOT_ADMIN_PASSWORD": "secret"})
    with fleet.web() as web, Redis.from_url(redis_url) as redis:
        url = f"http://{web.host}:{web.port}"
        link = Sessions(redis, "secret").make_link()
        with chromium(url, tmp_path / "profile") as browser:
            browser.open(f"/open/{link}")
            browser.wait_for_text("You are about to be the admin")
            browser.click("main button")
            browser.wait_for_text("Log out")
            assert browser.driver.current_url == f"{url}/"
            (cookie,) = browser.driver.get_cookies()
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
            assert browser.run("return document.cookie") == ""

            browser.open(f"/open/{link}")
            browser.wait_for_text("This link was used")
            browser.complaints()

            browser.open("/")
            browser.click("form[action='/logout'] button")
            browser.wait_for_text("Log in")
            assert browser.driver.get_cookies() == []
            assert browser.complaints() == []
