"""Chromium, which opens pages as people do."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:  # the fast tests are collected without it
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

Answer = TypeVar("Answer")

DEADLINE_SECONDS = 60
ADMIN = "admin:secret@"


class Browser:
    """One window.

    Args:
        driver: Of the window.
        url: Where the pages are, such as ``http://127.0.0.1:8000``.
    """

    def __init__(self, driver: "Chrome", url: str) -> None:
        self._url = url
        self.driver = driver

    def log_in(self, path: str) -> None:
        """Open a page as the admin; later ones under it know the admin too."""
        scheme, _, place = self._url.partition("://")
        self.driver.get(f"{scheme}://{ADMIN}{place}{path}")

    def open(self, path: str) -> None:
        self.driver.get(self._url + path)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> "list[WebElement]":
        return self.driver.find_elements("css selector", selector)

    def on(self, selector: str, act: "Callable[[WebElement], Answer]", text: str = "") -> Answer:
        """Do something with the first element that is seen and has a text.

        The page may replace or cover it at any time: nothing was done to it then, and it is
        looked for again.
        """
        from selenium.common.exceptions import (
            ElementClickInterceptedException,
            ElementNotInteractableException,
            StaleElementReferenceException,
        )

        answers: list[Answer] = []

        def acted() -> bool:
            try:
                for found in self.all(selector):
                    if found.is_displayed() and text in found.text:
                        answers.append(act(found))
                        return True
            except (
                ElementClickInterceptedException,
                ElementNotInteractableException,
                StaleElementReferenceException,
            ):
                return False
            return False

        self.wait_for(acted, f"{selector} {text}".rstrip())
        return answers[0]

    def wait_for_sight(self, selector: str) -> None:
        self.on(selector, lambda found: None)

    def click(self, selector: str, text: str = "") -> None:
        self.on(selector, lambda found: found.click(), text)

    def press(self, selector: str, key: str) -> None:
        """Press a key while an element has the focus."""
        self.on(selector, lambda found: found.send_keys(key))

    def attribute(self, selector: str, name: str) -> str:
        return self.on(selector, lambda found: found.get_attribute(name) or "")

    def paths(self, selector: str) -> list[str]:
        """Return where links lead, all read in one step."""
        links = "[...document.querySelectorAll(arguments[0])]"
        return self.run(f"return {links}.map(link => link.pathname)", selector)

    def text(self, selector: str = "body") -> str:
        """Return the text of an element, read in one step: the page may replace it meanwhile."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def wait_for_text(self, text: str, selector: str = "body") -> None:
        self.wait_for(lambda: text in self.text(selector), f"{text!r} in {selector}")

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"no {what} on the page: {self.text()}"
            time.sleep(0.05)

    def complaints(self) -> list[str]:
        """Return what was written to the console since the last call: errors, refused scripts."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@contextmanager
def chromium(url: str, profile: Path) -> Iterator[Browser]:
    """Open a window; its profile, without any history, is in a folder of the test."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    program = shutil.which("chromedriver") or pytest.fail("apt-get install chromium-driver")
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or pytest.fail("apt-get install chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu"):
        options.add_argument(f"--{switch}")
    options.add_argument(f"--user-data-dir={profile}")
    driver = Chrome(options=options, service=Service(program))
    try:
        yield Browser(driver, url)
    finally:
        driver.quit()
