"""What is imported costs memory and time in programs that are not Spigot's own."""

import subprocess
import sys

import pytest

HEAVY = ["gunicorn", "prometheus_client", "pydantic_settings", "rq", "rq_dashboard"]
MOST_OF_OURS = 50

DOOR = "import spigot; spigot.Door"
COMMAND = "from click.testing import CliRunner; from spigot.__main__ import cli; "
LIST = COMMAND + "assert CliRunner().invoke(cli, ['limits', 'list']).exit_code == 0"
JSON = LIST.replace("'list'", "'list', '--json'")
HELP = COMMAND + "assert CliRunner().invoke(cli, ['--help']).exit_code == 0"


def loaded_by(code):
    """Return the names of all modules that a new interpreter has loaded after some code."""
    code += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def of_ours(modules):
    return sorted(name for name in modules if name.partition(".")[0] == "spigot")


def test_the_door_is_light():
    modules = loaded_by(DOOR)

    assert not modules & set(HEAVY)
    assert len(of_ours(modules)) < MOST_OF_OURS, of_ours(modules)


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        (LIST, [name for name in HEAVY if name != "pydantic_settings"]),  # it reads the settings
        pytest.param(JSON, ["rich"], marks=pytest.mark.slow),
        (HELP, [*HEAVY, "flask", "redis", "rich"]),
    ],
    ids=["limits list", "--json", "--help"],
)
def test_a_command_loads_what_it_needs(code, heavy):
    assert not loaded_by(code) & set(heavy)


def test_the_face_is_light():
    assert not loaded_by("import spigot") & {*HEAVY, "click", "flask", "redis"}
