"""Chromium, which opens pages as people do."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # the fast tests are collected without it
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

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

    def find(self, selector: str) -> "WebElement":
        """Wait for an element that is seen."""
        self.wait_for(lambda: any(found.is_displayed() for found in self.all(selector)), selector)
        return next(found for found in self.all(selector) if found.is_displayed())

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
