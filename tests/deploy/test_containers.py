"""Dockerfile and compose file, checked against the code; nothing here runs a container."""

import json
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from spigot.__main__ import COMMANDS
from spigot.runtime.settings import Settings, variable_name
from tests.support.prometheus import TARGET

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE_FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.load(COMPOSE_FILE.read_text(), yaml.CSafeLoader)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("web", "worker")
SETTINGS = {variable_name(field) for field in Settings.model_fields}
WITHOUT_SETTINGS = {"REDISCLI_AUTH", "PATH", "PYTHONUNBUFFERED"}
DATA_DIR = "/app/data"
BIN = Path(sys.executable).parent


def stages() -> list[str]:
    return re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]


def named_volumes(service: dict[str, Any]) -> set[str]:
    sources = {volume.split(":")[0] for volume in service.get("volumes", ())}
    return {source for source in sources if not source.startswith(".")}


def environment(name: str) -> dict[str, str]:
    return SERVICES[name].get("environment", {})


@pytest.mark.slow
def test_the_compose_schema_accepts_the_file() -> None:
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    result = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True)

    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_a_second_reader_of_compose_files_accepts_it() -> None:
    from compose_spec import PyOptions  # of the extra `ci`

    options = PyOptions()
    options.apply_merge = True  # of the keys `<<`
    compose = options.from_yaml(COMPOSE_FILE.read_text())
    compose.validate()

    assert set(compose.service_names()) == set(SERVICES)


@pytest.mark.slow
def test_hadolint_finds_nothing() -> None:
    result = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)

    assert result.returncode == 0, result.stdout


def test_the_services_are_those_that_are_documented() -> None:
    assert set(SERVICES) == {"redis", "web", "worker", "prometheus", "grafana", "test"}
    assert [name for name, each in SERVICES.items() if "profiles" in each] == ["test"]
    assert not [
        name for name, each in SERVICES.items() if "container_name" in each
    ]  # or no --scale


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_depends_on_services_that_there_are(name: str) -> None:
    for other in SERVICES[name].get("depends_on", ()):
        assert other in SERVICES
        assert "profiles" not in SERVICES[other]


def test_what_is_waited_for_has_a_health_check() -> None:
    for service in SERVICES.values():
        needs = service.get("depends_on", {})
        for other in needs if isinstance(needs, dict) else ():
            if needs[other]["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"]


def test_volumes_are_declared_and_used() -> None:
    used = set().union(*map(named_volumes, SERVICES.values()))

    assert used == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_folder_that_is_mounted_is_there_and_cannot_be_written(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            assert (ROOT / source).is_dir()
            assert rest.endswith(":ro")


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_on_the_loopback_address_only(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


def test_nobody_outside_reaches_redis() -> None:
    redis = SERVICES["redis"]

    assert "ports" not in redis
    command = redis["command"]  # a list, which splits no password at its spaces
    given = dict(zip(command[1::2], command[2::2], strict=True))
    assert given["--requirepass"].startswith("${REDIS_PASSWORD:")
    assert given["--appendonly"] == "yes"
    assert given["--maxmemory-policy"] == "noeviction"
    assert named_volumes(redis) == {"redis"}


def test_no_secret_stands_in_the_file() -> None:
    secrets = dotenv_values(ROOT / ".env.example")
    text = COMPOSE_FILE.read_text()

    assert set(secrets) == set(re.findall(r"\$\{(\w+)", text))
    for name in secrets:
        assert f"${{{name}:?" in text  # compose stops if it is not set
    assert not re.search(r"password\w*: (?!\$)", text, re.IGNORECASE)


@pytest.mark.parametrize("name", OURS)
def test_our_services_find_redis_and_have_settings_that_there_are(name: str) -> None:
    given = environment(name)

    assert set(given) <= SETTINGS
    assert given["REDIS_URL"] == "redis://redis:6379/0"
    assert given["SPIGOT_REDIS_PASSWORD"].startswith("${REDIS_PASSWORD:")  # in no URL
    assert given["SPIGOT_DATA_DIR"] == DATA_DIR
    assert SERVICES[name]["env_file"] == ".env"
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert "user" not in SERVICES[name]  # the image's, which is not root


def test_the_web_listens_where_compose_prometheus_and_health_check_look() -> None:
    port = environment("web")["PORT"]

    assert environment("web")["HOST"] == "0.0.0.0"
    assert SERVICES["web"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"web:{port}" == TARGET
    assert f"EXPOSE {port}\n" in DOCKERFILE
    assert "/livez" in DOCKERFILE


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_commands_that_there_are(name: str) -> None:
    command = SERVICES[name].get("command") or json.loads(stages()[-1].rpartition("CMD ")[2])

    assert command == ["spigot", name]
    assert name in COMMANDS


def test_a_worker_that_stops_has_its_grace_time() -> None:
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > 2 * 8
    assert Settings.model_fields["grace_seconds"].default == 8


def test_the_result_log_outlives_its_worker() -> None:
    assert f"results:{DATA_DIR}" in SERVICES["worker"]["volumes"]
    assert f"install --directory --owner spigot /app {DATA_DIR}" in DOCKERFILE


def test_the_profile_test_runs_the_stage_that_has_the_tests() -> None:
    test = SERVICES["test"]

    assert test["build"] == {"context": ".", "target": "test"}
    (stage,) = [stage for stage in stages() if stage.startswith("FROM build AS test\n")]
    assert 'CMD ["pytest"]' in stage
    assert not {"env_file", "environment", "depends_on"} & set(test)


def test_the_last_stage_is_small_and_not_root() -> None:
    last = stages()[-1]

    assert last.startswith("FROM python:3.11-slim-")
    assert "pip" not in last
    assert "venv --without-pip /venv" in stages()[0]
    assert "apt" not in last
    assert re.search(r"^USER [1-9]\d+$", last, re.MULTILINE)


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)

    for name in shlex.split(" ".join(copied)):
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def test_the_image_has_all_packages() -> None:
    assert "COPY spigot ./spigot\n" in DOCKERFILE


def test_the_tests_in_the_container_have_all_that_is_in_the_repository() -> None:
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    not_ours = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    ours = {
        path.name
        for path in ROOT.iterdir()
        if path.name != ".git" and not any(fnmatch(path.name, each) for each in not_ours)
    }

    assert {f"!{name}" for name in ours} <= set(kept)
    assert kept[0] == "*"  # .env stays out, and whatever else lies around


def test_the_environment_of_the_image_has_settings_that_there_are() -> None:
    names = {name for line in re.findall(r"^ENV (.+)$", DOCKERFILE, re.MULTILINE)
             for name in re.findall(r"(\w+)=", line)}  # fmt: skip

    assert names - WITHOUT_SETTINGS <= SETTINGS
