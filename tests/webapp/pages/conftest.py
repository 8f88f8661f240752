"""What the tests of pages in a browser share: a web with an admin, and windows."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.browser import Browser, chromium
from tests.support.fleet import Fleet, Web


@pytest.fixture(scope="module")
def fleet(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """What web and workers of all tests of a module share."""
    folder = tmp_path_factory.mktemp("fleet")
    return Fleet(redis_url, folder, settings={"SPIGOT_ADMIN_PASSWORD": "secret"})


@pytest.fixture(scope="module")
def web(fleet: Fleet) -> Iterator[Web]:
    """One for all tests of a module."""
    with fleet.web() as web:
        yield web


@pytest.fixture(scope="module")
def open_window(
    web: Web, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Browser]]:
    """Return a function that opens a window, with a profile of its own, on the pages of the web."""
    with ExitStack() as windows:
        yield lambda: windows.enter_context(chromium(web.url, tmp_path_factory.mktemp("profile")))


@pytest.fixture
def watched() -> Iterator[Callable[[Browser], Browser]]:
    """Return a function that has a window looked at in the end: nothing in it complained."""
    windows: list[Browser] = []

    def watched(window: Browser) -> Browser:
        window.complaints()
        windows.append(window)
        return window

    yield watched
    for window in windows:
        assert window.run("return window.attacked") is None
        assert window.complaints() == []
