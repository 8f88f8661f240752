import json
import shlex

import pytest

from spigot.launch.announcement import announcement
from spigot.runtime.settings import Settings

URL = "http://127.0.0.1:8000"


def announce(made_up_password=None, **settings):
    return announcement(
        Settings(_env_file=None, **settings),
        URL,
        "Valkey 9.1, files in data/valkey-9",
        made_up_password,
    )


def test_says_where_everything_is():
    text = announce("made-up")

    assert f"live page   {URL}/\n" in text
    assert f"API         {URL}\n" in text
    assert f"API docs    {URL}/docs\n" in text
    assert f"dashboard   {URL}/rq/  (user admin, password made-up)\n" in text
    assert "result log  data/results.jsonl\n" in text
    assert "apps        spigot.examples\n" in text
    assert "server      Valkey 9.1, files in data/valkey-9\n" in text


def test_does_not_repeat_a_password_that_was_set():
    text = announce(admin_password="secret")

    assert "secret" not in text
    assert "password as in SPIGOT_ADMIN_PASSWORD" in text


def test_says_how_to_open_the_dashboard():
    assert "dashboard   off: set SPIGOT_ADMIN_PASSWORD\n" in announce()


def test_the_curl_to_try_is_one_that_a_shell_understands():
    command = shlex.split(announce().partition("Try it:")[2])

    assert command[:2] == ["curl", "-i"]
    assert f"{URL}/enqueue" in command
    assert json.loads(command[-1])["data"] == "this is my message from mobile app"


@pytest.mark.parametrize("apps", [("shop",), ()])
def test_without_the_message_app_there_is_another_curl(apps):
    assert shlex.split(announce(apps=apps).partition("Try it:")[2]) == [
        "curl",
        "-i",
        f"{URL}/api/status",
    ]
