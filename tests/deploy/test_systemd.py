"""The units of systemd that are shipped, read by systemd's own tool; nothing here runs them."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spigot.__main__ import COMMANDS
from spigot.runtime.settings import Settings, variable_name
from spigot.webapp.gunicorn.settings import GRACEFUL_SECONDS
from spigot.worker.worker_processes import GIVE_BACK_SECONDS

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
SETTINGS = {variable_name(field) for field in Settings.model_fields}
KILL_AFTER = {
    "web": GRACEFUL_SECONDS,
    "worker": Settings.model_fields["grace_seconds"].default + GIVE_BACK_SECONDS,
}
MOST_EXPOSED = 20
"""Of 100, as ``systemd-analyze security`` counts; a unit without any sandbox has 96."""


def part_of(unit):
    """Return the command that a unit runs."""
    return unit.stem.removeprefix("spigot-")


def service_of(unit):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(unit.read_text())
    return parser["Service"]


def systemd_analyze(*arguments):
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_there_is_a_unit_for_each_part():
    assert [part_of(unit) for unit in UNITS] == ["web", "worker"]


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS, ids=part_of)
def test_systemd_understands_every_line(unit, tmp_path):
    copy = tmp_path / unit.name
    copy.write_text(
        unit.read_text().replace("/srv/shop/.venv/bin", str(Path(sys.executable).parent))
    )

    result = systemd_analyze("verify", "--man=no", copy)

    assert (result.returncode, result.stderr) == (0, "")  # an unknown key is only told


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS, ids=part_of)
def test_systemd_calls_it_well_locked_up(unit):
    result = systemd_analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("unit", UNITS, ids=part_of)
def test_it_runs_a_part_as_a_user_of_its_own(unit):
    service = service_of(unit)

    assert service["ExecStart"].endswith(f"/bin/spigot {part_of(unit)}")
    assert part_of(unit) in COMMANDS
    assert service["User"] == "spigot"


@pytest.mark.parametrize("unit", UNITS, ids=part_of)
def test_it_waits_for_a_graceful_end(unit):
    service = service_of(unit)

    assert int(service["TimeoutStopSec"]) > KILL_AFTER[part_of(unit)]
    assert service["KillMode"] == "mixed"  # SIGTERM to each would be a second one to workers


@pytest.mark.parametrize("unit", UNITS, ids=part_of)
def test_what_may_be_written_is_the_data_folder(unit):
    service = service_of(unit)
    name, _, folder = service["Environment"].partition("=")

    assert name in SETTINGS
    assert folder == f"/var/lib/{service['StateDirectory']}"
    assert service["ProtectSystem"] == "strict"


def test_the_page_names_each_unit():
    page = (ROOT / "docs" / "deploy.md").read_text()

    assert set(re.findall(r"\(\.\./(deploy/systemd/\S+)\)", page)) == {
        str(unit.relative_to(ROOT)) for unit in UNITS
    }
