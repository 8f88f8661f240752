"""The command ``spigot new``: a small application to start from."""

import re
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template

import click

from spigot.runtime.errors import OperatorError

TEMPLATES = Path(__file__).with_name("new_application")
NAME = re.compile(r"[a-z][a-z0-9_]*")


class NewApplicationError(OperatorError):
    """The application cannot be made; nothing was written."""


@click.command(epilog="Example: spigot new shop")
@click.argument("name")
def new(name: str) -> None:
    """Make the folder NAME with an application: a job type, its files, tests, a README."""
    write_application(name, Path(name))
    click.echo(f"made {name}/: cd {name}, and see README.md for its three commands")


def write_application(name: str, folder: Path) -> None:
    """Write the files of a new application.

    Args:
        name: Of its module.
        folder: Must not exist.

    Raises:
        NewApplicationError: The name cannot be used, or the folder exists.
    """
    if not NAME.fullmatch(name):
        raise NewApplicationError(f"{name!r} cannot be a module's name: use [a-z][a-z0-9_]*")
    if iskeyword(name):
        raise NewApplicationError(f"{name} is a word of Python's language: choose another name")
    if folder.exists():
        raise NewApplicationError(f"{folder} exists already: choose another name")
    if find_spec(name):
        raise NewApplicationError(f"Python has a module {name} already: choose another name")
    try:
        folder.mkdir()
        for template in sorted(TEMPLATES.glob("*.tmpl")):
            text = Template(template.read_text("utf-8")).substitute(name=name)
            (folder / _file_name(template, name)).write_text(text, "utf-8")
    except OSError as error:
        raise NewApplicationError(f"{folder} cannot be written: {error.strerror}") from error


def _file_name(template: Path, name: str) -> str:
    file = template.name.removesuffix(".tmpl").replace("application", name)
    return ".env" if file == "env" else file
