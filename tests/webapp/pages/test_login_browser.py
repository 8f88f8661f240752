"""Logging in by a link in a real browser."""

import pytest

from spigot.webapp.http.sessions import Sessions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_button_of_the_link_logs_in_and_another_logs_out(redis, web, open_window, watched):
    link = Sessions(redis, "secret").make_link()
    browser = watched(open_window())
    browser.open(f"/open/{link}")
    browser.wait_for_text("You are about to be the admin")
    browser.click("main button")
    browser.wait_for_text("Log out")
    assert browser.driver.current_url == f"{web.url}/"
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
