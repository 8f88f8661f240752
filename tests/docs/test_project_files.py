import re
import shlex
import tomllib
from pathlib import Path

import pytest
from dotenv import dotenv_values
from packaging.requirements import Requirement

from spigot.__main__ import COMMANDS
from spigot.runtime.settings import Settings, variable_name

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"
README = (ROOT / "README.md").read_text()
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
LOCK = (ROOT / "requirements.lock").read_text()


def description(field):
    return " ".join(Settings.model_fields[field].description.split())


def written(value):
    """The default as one writes it into the environment."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_has_its_row_in_the_readme(field):
    default = Settings.model_fields[field].default
    shown = "unset" if default is None else f"`{written(default)}`" if default != () else "empty"

    assert f"| `{variable_name(field)}` | {shown} | {description(field)} |\n" in README


def test_the_readme_has_no_row_of_a_setting_that_is_gone():
    section = README.partition("## Settings\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)

    assert sorted(rows) == sorted(map(variable_name, Settings.model_fields))


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_in_the_example_of_an_env_file(field):
    default = written(Settings.model_fields[field].default)
    paragraphs = [
        "".join(block.split("# ")).replace("\n", " ") for block in ENV_EXAMPLE.split("\n\n")
    ]

    assert f"{description(field)} #{variable_name(field)}={default}" in paragraphs


def test_the_example_of_an_env_file_changes_nothing(tmp_path, monkeypatch):
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_name(field), raising=False)
    (tmp_path / ".env").write_text(re.sub("^#(?=[A-Z])", "", ENV_EXAMPLE, flags=re.MULTILINE))

    assert Settings(_env_file=tmp_path / ".env") == Settings(_env_file=None)


def test_compose_finds_its_variables_in_the_example_of_an_env_file():
    wanted = re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text())

    assert set(wanted) == set(dotenv_values(ROOT / ".env.example"))


def test_the_procfile_runs_commands_that_there_are():
    for line in (ROOT / "Procfile").read_text().splitlines():
        program, command = shlex.split(line.partition(":")[2])
        assert program == "spigot"
        assert command in COMMANDS


def test_the_lock_names_no_registry_and_has_a_hash_for_everything():
    requirements = re.split(r"\n(?=\S)", LOCK.strip())

    assert "://" not in LOCK
    assert "--index" not in LOCK
    for requirement in requirements:
        assert re.match(r"[\w.\[\]-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_lock_has_all_that_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = dict(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", LOCK, re.MULTILINE))

    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(text)
        assert locked.get(requirement.name, "none") in requirement.specifier, text


@pytest.mark.parametrize("path", sorted(SUPPORT.glob("*.py")), ids=lambda path: path.stem)
def test_the_page_of_helpers_names_each_of_them(path):
    assert f"({path.name})" in (SUPPORT / "README.md").read_text()
