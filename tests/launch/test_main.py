import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from redis.exceptions import ConnectionError as RedisConnectionError

import spigot.__main__ as root
from spigot.launch.lazy_group import LazyGroup, load_command
from spigot.runtime.errors import OperatorError
from tests.support.warm_python import warm_python

OF_DATA = ("bucket", "doctor", "job", "limits", "open", "top")


@pytest.mark.parametrize("name", root.COMMANDS)
def test_every_command_can_be_loaded_and_shows_an_example(name):
    result = CliRunner().invoke(root.cli, [name, "--help"])

    assert result.exit_code == 0
    assert f"spigot {name}" in result.output.partition("Example:")[2]
    assert "\\b" not in result.output


def test_help_lists_every_command_and_imports_none():
    script = (
        "import sys\n"
        "from spigot.__main__ import cli\n"
        "try:\n    cli(['--help'])\n"
        "finally:\n"
        "    print(sorted({'flask', 'redis', 'rq', 'spigot.launch.up'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    for name, (_, short_help) in root.COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert short_help in result.stdout
    assert result.stdout.endswith("[]\n")


@pytest.mark.parametrize("name", ["click", "redis", "logging"])
def test_modules_of_the_current_folder_are_taken_for_no_librarys(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise SystemExit('this is the user')")
    (tmp_path / "tasks.py").write_text(
        "from spigot import job_type\n\n\n@job_type('mine')\ndef mine() -> int:\n    return 1\n"
    )
    command = [sys.executable, "-m", "spigot", "job", "types"]
    environment = {"PATH": os.environ["PATH"]}

    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )

    assert result.returncode == 0, result.stderr
    assert "mine" in result.stdout


def every_command(group, path=()):
    for name in group.commands:
        place = root.COMMANDS.get(name, [None])[0] if not path else None
        command = load_command(place) if place else group.commands[name]
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


@pytest.mark.parametrize("path", [(), *every_command(root.cli)], ids=" ".join)
def test_every_command_tells_its_help_whole(path):
    results = [CliRunner().invoke(root.cli, [*path, option]) for option in ("-h", "--help")]

    assert [result.exit_code for result in results] == [0, 0]
    assert results[0].output == results[1].output
    assert max(map(len, results[0].output.splitlines())) <= 80
    listed = results[0].output.partition("Commands:")[2].replace("[ARGS]...", "")
    assert "..." not in listed


@pytest.mark.parametrize("path", [path for path in every_command(root.cli) if path[0] in OF_DATA])
def test_every_command_of_data_prints_json(path):
    help = CliRunner().invoke(root.cli, [*path, "-h"]).output

    assert "Commands:" in help or "--json" in help


@pytest.mark.parametrize("path", [*every_command(root.cli)], ids=" ".join)
def test_no_command_says_integer_range(path):
    command = load_command(root.COMMANDS[path[0]][0])
    for name in path[1:]:
        command = command.commands[name]

    assert "integer range" not in [parameter.type.name for parameter in command.params]


def test_shows_the_version():
    result = CliRunner().invoke(root.cli, ["--version"])

    assert result.output.startswith("spigot 0.")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["drip"], "Error: No such command 'drip'. (see `spigot --help`)"),
        (["bucket", "rate"], "Error: Missing argument 'NAME'. (see `spigot bucket rate --help`)"),
        (["up", "--port", "x"], "Error: Invalid value for '--port': 'x' is not a valid integer"),
        (["job", "list", "--all"], "Error: No such option"),
        (["a\nb\x1b[2J"], "Error: No such command"),
        (["bucket", "capacity", "a", "-1"], "Error: -1: no number here may be negative. (see"),
        (
            ["bucket", "capacity", "a", "x"],
            "Error: Invalid value for 'NUMBER': 'x' is not a valid integer. (see",
        ),
        (
            ["completion"],
            "Error: Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish (see",
        ),
    ],
)
def test_a_wrong_use_is_told_in_one_line(arguments, line):
    result = CliRunner().invoke(root.cli, arguments, prog_name="spigot")

    assert result.exit_code == 2
    assert result.output.startswith(line)
    assert result.output.count("\n") == 1


def test_a_group_alone_shows_its_help():
    result = CliRunner().invoke(root.cli, ["bucket"])

    assert result.exit_code == 2
    assert "Commands:" in result.output


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OperatorError("set it right"), "Error: set it right\n"),
        (
            RedisConnectionError("Connection refused."),
            "Error: the server does not answer: nobody listens there; start it, or set the right "
            "URL\n",
        ),
    ],
)
def test_what_an_operator_can_put_right_is_one_line(monkeypatch, capsys, error, line):
    monkeypatch.setattr(root, "cli", raising(error))

    with pytest.raises(SystemExit, match="1"):
        root.main()

    assert capsys.readouterr().err == line


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(root, "cli", raising(KeyError("oops")))

    with pytest.raises(KeyError):
        root.main()


def test_a_wrong_setting_is_one_line():
    result = warm_python().run("-m", "spigot", "up", environment={"PORT": "many"})

    assert result.returncode == 1
    assert result.stderr.startswith("Error: PORT='many' cannot be used: ")
    assert result.stderr.count("\n") == 1


def test_a_group_runs_the_command_that_it_loads(monkeypatch):
    commands = {"echo": ("tests.launch.test_main:echo", "Repeat.")}
    group = LazyGroup(name="group", lazy_commands=commands)

    assert CliRunner().invoke(group, ["echo", "words"]).output == "words\n"


@click.command()
@click.argument("text")
def echo(text):
    click.echo(text)


def raising(error):
    def cli(**_):
        raise error

    return cli


class TestWhatStopsEveryCommand:
    """Told in one line, whatever the command is."""

    @pytest.fixture
    def spigot(self, tmp_path):
        """Return a function that runs a command line of a shell, in a folder of its own."""
        program = f"{sys.executable} -P -m spigot"

        def run(line, folder=tmp_path):
            return subprocess.run(
                ["sh", "-c", line.replace("spigot", program, 1)],
                cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True,
                timeout=100,
            )  # fmt: skip

        return run

    @pytest.mark.parametrize("output", ["", "--json"])
    def test_an_output_that_cannot_be_written(self, spigot, output):
        result = spigot(f"spigot job types {output} > /dev/full")

        assert result.returncode == 1
        assert result.stderr == ("Error: the output cannot be written: No space left on device\n")

    def test_an_output_that_is_closed(self, spigot):
        result = spigot("spigot job types >&-")

        assert (result.returncode, result.stderr) == (0, "")

    @pytest.mark.parametrize("command", ["job types", "doctor", "up"])
    def test_a_folder_that_is_gone(self, spigot, tmp_path, command):
        (tmp_path / "gone").mkdir()

        result = spigot(f"cd gone && rmdir ../gone && spigot {command}")

        assert result.returncode == 1
        assert result.stderr == (
            "Error: the current folder is not there any more: change to another one\n"
        )

    @pytest.mark.parametrize("command", ["bucket list", "job types", "doctor", "worker"])
    def test_settings_that_are_no_text(self, spigot, tmp_path, command):
        (tmp_path / ".env").write_bytes(b"SPIGOT_APPS=shop\xff\n")

        result = spigot(f"spigot {command}")

        assert result.returncode == 1
        assert result.stderr == (
            "Error: .env cannot be read: it is no UTF-8 text, from byte 17 on\n"
        )

    def test_a_line_of_the_settings_that_states_nothing_is_told_once(self, spigot, tmp_path):
        (tmp_path / ".env").write_text("SPIGOT_APPS=spigot.examples\nPORT 9000\n")

        result = spigot("spigot job types")

        assert result.returncode == 0
        assert "document" in result.stdout
        assert result.stderr == ".env: line 2 states nothing: write NAME=value\n"
