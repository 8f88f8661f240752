import json
import shlex

import pytest

from spigot.launch.announcement import Running, announcement
from spigot.runtime.settings import Settings

URL = "http://127.0.0.1:8000"


def announce(made_up_password=None, **settings):
    running = Running(
        URL,
        "Valkey 9.1, files in data/valkey-9",
        "16: default 2, documents 4, requests 10",
        ".venv/bin/spigot",
        made_up_password,
    )
    return announcement(Settings(_env_file=None, **settings), running)


def test_says_where_everything_is():
    text = announce("made-up")

    assert f"live page   {URL}/\n" in text
    assert f"API         {URL}\n" in text
    assert f"API docs    {URL}/docs\n" in text
    assert f"dashboard   {URL}/rq/  (user admin, password made-up)\n" in text
    assert "log in      .venv/bin/spigot open\n" in text
    assert "workers     16: default 2, documents 4, requests 10\n" in text
    assert "result log  data/results.jsonl\n" in text
    assert "apps        spigot.examples\n" in text
    assert "server      Valkey 9.1, files in data/valkey-9\n" in text


def test_does_not_repeat_a_password_that_was_set():
    text = announce(admin_password="secret")

    assert "secret" not in text
    assert "(user admin, your password)" in text


def test_says_how_to_open_the_dashboard():
    assert "dashboard   off: set SPIGOT_ADMIN_PASSWORD\n" in announce()


def test_the_curl_to_try_is_one_that_a_shell_understands():
    command = shlex.split(announce().partition("second shell:")[2])

    assert command[:2] == ["curl", "-i"]
    assert f"{URL}/enqueue" in command
    assert json.loads(command[-1])["data"] == "this is my message from mobile app"


@pytest.mark.parametrize("apps", [("shop",), ()])
def test_without_the_message_app_there_is_another_curl(apps):
    assert shlex.split(announce(apps=apps).partition("second shell:")[2]) == [
        "curl",
        "-i",
        f"{URL}/api/status",
    ]


def test_it_fits_a_terminal_of_80_by_24():
    lines = announce("_ieiTvJnZU4bpK3r").splitlines()

    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
