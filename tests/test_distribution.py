"""What users install: an sdist, the wheel that is built from it, and an environment with it."""

import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import spigot
from spigot.runtime.listening_socket import free_port
from tests.support.processes import wait_for
from tests.support.visitors import Visitor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
]

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]
BESIDE_THE_PACKAGE = {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", ".gitignore"}


def run(*command: object, folder: Path) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the sdist, and the wheel that was built from it alone."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", folder, "--target"]
    run(*build, "sdist", folder=ROOT)
    unpacked = tmp_path_factory.mktemp("sdist")
    with tarfile.open(folder / f"spigot_jobs-{VERSION}.tar.gz") as archive:
        archive.extractall(unpacked, filter="data")
    run(*build, "wheel", folder=unpacked / f"spigot_jobs-{VERSION}")
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return dist / f"spigot_jobs-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the programs of an environment that has the wheel, what it asks for, no more.

    What it asks for is linked from the environment of the tests, not installed once more.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    for dist in asked_for(PROJECT["dependencies"]):
        for name in {file.parts[0] for file in dist.files or () if file.parts[0] != ".."}:
            if name != "__pycache__":
                (packages / name).symlink_to(dist.locate_file(name))
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    run(*pip, "--quiet", "--no-deps", "--no-index", wheel, folder=folder)
    return folder / "bin"


def asked_for(lines: list[str]) -> list[Distribution]:
    """Return the distributions that requirements ask for, and what those ask for in turn."""
    found: dict[str, Distribution] = {}
    asked = [(Requirement(line), {""}) for line in lines]
    while asked:
        requirement, extras = asked.pop()
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras):
            continue
        dist = distribution(requirement.name)
        assert requirement.specifier.contains(dist.version), requirement
        key = f"{requirement.name}[{','.join(sorted(requirement.extras))}]"
        if key not in found:
            found[key] = dist
            own = {"", *requirement.extras}
            asked += [(Requirement(line), own) for line in dist.requires or ()]
    return list({dist.name: dist for dist in found.values()}.values())


@pytest.fixture(scope="module")
def package_files() -> set[str]:
    return set(run("git", "ls-files", "spigot", folder=ROOT).split())


def test_the_sdist_holds_the_package_alone(dist, package_files):
    with tarfile.open(dist / f"spigot_jobs-{VERSION}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert names == package_files | BESIDE_THE_PACKAGE


def test_the_wheel_holds_the_package_alone(wheel, package_files):
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {name for name in names if ".dist-info/" not in name} == package_files
    assert "spigot/py.typed" in names


def test_registries_would_take_them(dist):
    printed = run(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir(), folder=dist)

    assert printed.count("PASSED") == 2


def test_the_version_stands_in_one_place():
    found = run("git", "grep", "-lF", VERSION, "--", "*.py", "*.toml", folder=ROOT).split()

    assert found == ["pyproject.toml"]


def test_the_command_works_where_it_is_installed(installed, tmp_path):
    assert run(installed / "spigot", "--version", folder=tmp_path) == f"spigot {VERSION}\n"
    shown = run(installed / "spigot", "--help", folder=tmp_path)
    assert re.search(r"^  up +Run everything", shown, re.MULTILINE)
    assert run(installed / "python", "-m", "spigot", "--help", folder=tmp_path) == shown


def test_each_name_of_the_face_loads_there(installed, tmp_path):
    names = ", ".join(spigot.__all__)
    code = f"from spigot import {names}; import spigot; print(spigot.__file__)"

    place = run(installed / "python", "-c", code, folder=tmp_path)

    assert Path(place.strip()).is_relative_to(installed.parent)


def test_up_runs_in_an_empty_folder(installed, tmp_path):
    port = free_port()
    command = [installed / "spigot", "up", "--port", str(port), "--workers", "1"]
    environment = {"PATH": f"{installed}:/usr/bin:/bin", "HOME": str(tmp_path)}
    log = tmp_path / "up.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: process.poll() is not None or "Try it" in log.read_text(), 100)
        document = {"doc_id": "doc_1"}
        answer = Visitor(f"http://127.0.0.1:{port}").post("/process-doc/", document)
    finally:
        process.terminate()
        process.wait(60)

    assert answer.status == 202, log.read_text()
    assert log.read_text().count("running on defaults, without") == 1
    assert "apps        spigot.examples" in log.read_text()
