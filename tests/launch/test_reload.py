import json
import os
import signal
import subprocess
import sys

import httpx
import pytest

from spigot.launch.app_files import AppFiles, roots_of
from spigot.runtime.listening_socket import free_port
from tests.support.processes import wait_for

APP = """
import time
from flask import Blueprint
from helper import WORD
from spigot import job_type

blueprint = Blueprint("shop", __name__)
blueprint.get("/word")(lambda: WORD)

@job_type("say")
def say(seconds: float) -> str:
    time.sleep(seconds)
    return WORD
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("A = 1")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "b.py").write_text("B = 1")
    return tmp_path


class TestFiles:
    def changes(self, files):
        """Look twice, as changes count once they rest."""
        return [*files.changes(), *files.changes()]

    @pytest.mark.parametrize("name", ["a.py", "package/b.py", "new.py", "package/new.py"])
    def test_what_is_written_has_changed_once(self, folder, name):
        files = AppFiles([folder])

        (folder / name).write_text("C = 12345")

        assert self.changes(files) == [name]
        assert self.changes(files) == []

    def test_what_is_removed_has_changed(self, folder):
        files = AppFiles([folder])

        (folder / "a.py").unlink()

        assert self.changes(files) == ["a.py"]

    def test_what_is_still_being_written_is_waited_for(self, folder):
        files = AppFiles([folder])
        for number in range(3):
            (folder / "a.py").write_text("A = 1" + number * "0" + "\n")
            assert files.changes() == []

        assert files.changes() == ["a.py"]

    def test_what_is_put_back_has_not_changed(self, folder):
        files = AppFiles([folder])
        before = os.stat(folder / "a.py")
        (folder / "a.py").write_text("A = 2")
        files.changes()
        (folder / "a.py").write_text("A = 1")
        os.utime(folder / "a.py", ns=(before.st_atime_ns, before.st_mtime_ns))

        assert self.changes(files) == []

    @pytest.mark.parametrize(
        "name", ["notes.txt", ".git/x.py", "env/lib/x.py", "__pycache__/x.py", "node_modules/x.py"]
    )
    def test_what_is_no_code_of_the_application_is_passed_over(self, folder, name):
        (folder / "env").mkdir()
        (folder / "env" / "pyvenv.cfg").touch()
        files = AppFiles([folder])
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1")

        assert self.changes(files) == []

    def test_a_module_of_elsewhere_is_watched_too(self, folder, tmp_path_factory, monkeypatch):
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "lone_module.py").write_text("A = 1")
        monkeypatch.syspath_prepend(elsewhere)

        assert roots_of(["a", "lone_module", "nowhere"]) == [folder, elsewhere / "lone_module.py"]

    def test_the_examples_are_watched_where_they_lie(self, folder):
        assert roots_of(["spigot.examples"])[1].parts[-2:] == ("spigot", "examples")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_new_files_are_taken_and_broken_ones_are_not(folder):
    (folder / "shop.py").write_text(APP)
    (folder / "helper.py").write_text('WORD = "one"')
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "SPIGOT_APPS": "shop"}
    environment["SPIGOT_ADMIN_PASSWORD"] = "secret"
    command = [sys.executable, "-P", "-m", "spigot", "up", "--reload", "--port", str(port)]
    log = folder / "up.log"
    with log.open("w") as out:
        up = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        wait_for(lambda: "is running" in log.read_text(), 60)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            job = client.post("/jobs", json={"type": "say", "payload": {"seconds": 3}}).json()
            wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["status"] == "started")

            (folder / "helper.py").write_text('WORD = "two"')
            wait_for(lambda: "run with the new files" in log.read_text(), 60)
            wait_for(lambda: word(port) == "two", 30)
            ended = client.get(f"/jobs/{job['id']}?wait=20").json()
            assert (ended["status"], ended["result"]) == ("finished", "one")
            new = client.post("/jobs", json={"type": "say", "payload": {"seconds": 0}}).json()
            assert client.get(f"/jobs/{new['id']}?wait=20").json()["result"] == "two"

            (folder / "helper.py").write_text("WORD = ")
            wait_for(lambda: "what ran before goes on" in log.read_text(), 60)
            assert "SyntaxError" in log.read_text()
            assert word(port) == "two"

            (folder / "helper.py").write_text('WORD = "three"')
            wait_for(lambda: word(port) == "three", 60)
    finally:
        up.send_signal(signal.SIGINT)
        assert up.wait(40) == 0
    lines = [
        json.loads(line) for line in (folder / "data" / "results.jsonl").read_text().splitlines()
    ]
    assert {line["status"] for line in lines} == {"finished"}


def word(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/word").text
    except httpx.TransportError:  # it starts anew
        return None
