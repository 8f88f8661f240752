import json
import re
import stat
import webbrowser
from contextlib import contextmanager

import httpx
import pytest
from werkzeug.serving import make_server

from spigot import create_app
from spigot.launch.admin_password import kept_password, make_password
from spigot.launch.web_url import find_web_url, published_url
from spigot.runtime.listening_socket import free_port
from spigot.runtime.settings import load_settings
from tests.support.command_line import run_spigot
from tests.support.served import served

LINK = re.compile(r"^http://127\.0\.0\.1:\d+/open/[\w-]{22}$", re.MULTILINE)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, redis, redis_url):
    """An empty current folder; the server is set, and no browser would show up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SPIGOT_ADMIN_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PORT", str(free_port()))
    (tmp_path / "data").mkdir()
    return tmp_path


@contextmanager
def web(**settings):
    server = make_server("127.0.0.1", 0, create_app(load_settings(**settings)), threaded=True)
    with served(server) as address:
        yield f"http://{address}"


def test_prints_a_link_that_logs_in_once(folder, monkeypatch):
    monkeypatch.setenv("SPIGOT_ADMIN_PASSWORD", "secret")
    with web() as url, published_url(folder / "data", url):
        result = run_spigot("open")

        (link,) = LINK.findall(result.stdout)
        with httpx.Client(base_url=url) as client:
            token = link.rpartition("/")[2]
            assert client.post("/open", data={"token": token}).status_code == 303
            assert client.get("/api/activity").status_code == 200
    assert (result.exit_code, result.stderr) == (0, "")
    assert "secret" not in result.stdout


def test_the_link_is_told_as_data_to_scripts_and_opens_no_browser(folder, monkeypatch):
    monkeypatch.setenv("SPIGOT_ADMIN_PASSWORD", "secret")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("a browser was opened"))
    with web() as url:
        result = run_spigot("open", "--url", url, "--json")

    told = json.loads(result.stdout)
    assert LINK.fullmatch(told["url"])
    assert told["logs_in_for"] == 60


def test_without_a_password_scripts_are_told_the_page():
    with web() as url:
        result = run_spigot("open", "--url", url, "--json")

    assert json.loads(result.stdout) == {"url": f"{url}/", "logs_in_for": None}


def test_shows_the_password_that_was_made_up(folder):
    password = make_password(folder / "data")
    with web(admin_password=password) as url:
        result = run_spigot("open", "--url", f"{url}/")

    assert LINK.search(result.stdout)
    assert f"user admin, password {password} (from data/admin-password)" in result.stdout


def test_a_browser_gets_a_file_because_others_may_list_its_arguments(folder, monkeypatch):
    monkeypatch.setenv("SPIGOT_ADMIN_PASSWORD", "secret")
    monkeypatch.setenv("DISPLAY", ":0")
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: not opened.append(url))
    with web() as url:
        result = run_spigot("open", "--url", url)

    page = folder / "data" / "open.html"
    assert opened == [page.as_uri()]
    assert LINK.search(result.stdout)[0] in page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "opens in your browser" in result.stdout


def test_without_a_password_there_is_the_page_alone():
    with web() as url:
        result = run_spigot("open", "--url", url)

    assert result.exit_code == 0
    assert result.stdout.startswith(f"{url}/\nNobody can log in")


def test_a_web_that_is_not_there_is_one_line():
    result = run_spigot("open")

    assert result.exit_code == 1
    assert re.fullmatch(
        r"Error: no web answers at http://127\.0\.0\.1:\d+: Connection refused; .*--url\n",
        result.stderr,
    )


@pytest.mark.parametrize("url", ["nonsense", "http://", "file:///etc/passwd", "http://[::1"])
def test_a_url_that_is_none_is_one_line(url):
    result = run_spigot("open", "--url", url)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: no web answers at")


@pytest.mark.parametrize("url", ["localhost:8000", "127.0.0.1:8000", "ftp://example.invalid"])
def test_a_url_without_its_scheme_is_told_with_the_way_to_write_it(url):
    result = run_spigot("open", "--url", url)

    assert result.exit_code == 1
    assert result.stderr == f"Error: no web answers at {url}: write it like http://127.0.0.1:8000\n"


def test_a_web_with_another_password_is_one_line(monkeypatch):
    with web(admin_password="secret") as url:
        monkeypatch.setenv("SPIGOT_ADMIN_PASSWORD", "another")
        result = run_spigot("open", "--url", url)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "it has another server, password or login" in result.stderr


class TestPassword:
    def test_is_made_up_once_for_its_owner_alone(self, folder):
        password = make_password(folder)

        assert re.fullmatch(r"[\w-]{16}", password)
        assert make_password(folder) == kept_password(folder) == password
        assert stat.S_IMODE((folder / "admin-password").stat().st_mode) == 0o600

    def test_of_a_file_that_others_could_read_is_kept_from_them(self, folder):
        (folder / "admin-password").write_text("by-hand\n")
        (folder / "admin-password").chmod(0o644)

        assert make_password(folder) == "by-hand"
        assert stat.S_IMODE((folder / "admin-password").stat().st_mode) == 0o600

    @pytest.mark.parametrize("content", [b"", b"\n", b" \n"])
    def test_of_an_empty_file_is_made_up(self, folder, content):
        (folder / "admin-password").write_bytes(content)

        assert len(make_password(folder)) == 16

    def test_that_cannot_be_read_is_one_line(self, folder):
        (folder / "data" / "admin-password").write_bytes(b"\xff\xfe")

        result = run_spigot("open")

        assert result.exit_code == 1
        assert result.stderr.startswith("Error: data/admin-password cannot be used: it is no text")


class TestUrl:
    def test_is_known_while_its_process_lives(self, folder):
        with published_url(folder / "new", "http://here"):
            assert find_web_url(folder / "new") == "http://here"

        assert find_web_url(folder / "new") is None
        assert find_web_url(folder / "never") is None

    def test_of_two_that_share_a_folder_the_first_is_found(self, folder):
        with published_url(folder, "http://first"):
            with published_url(folder, "http://second"):
                assert find_web_url(folder) == "http://first"
            assert find_web_url(folder) == "http://first"
