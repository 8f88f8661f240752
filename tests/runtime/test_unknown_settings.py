"""A typo in the name of a setting is told, with what was perhaps meant."""

import pytest

from spigot.runtime.settings import Settings, load_settings, variable_name
from spigot.runtime.unknown_settings import _warn


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _warn.cache_clear()
    return tmp_path


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("SPIGOT_RATE_LIMTS", "SPIGOT_RATE_LIMITS"),
        ("SPIGOT_BUCKET", "SPIGOT_BUCKETS"),
        ("SPIGOT_APP", "SPIGOT_APPS"),
        ("SPIGOT_REDIS_URL", "REDIS_URL"),
        ("SPIGOT_PORT", "PORT"),
        ("SPIGOT_HOST", "HOST"),
        ("SPIGOT_ADMIN_PASWORD", "SPIGOT_ADMIN_PASSWORD"),
        ("spigot_keep_second", "SPIGOT_KEEP_SECONDS"),
    ],
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_typo_is_told(name, instead, place, monkeypatch, folder, caplog):
    if place == ".env":
        (folder / ".env").write_text(f"# a comment\n{name}=s3cret\n")
    else:
        monkeypatch.setenv(name, "s3cret")

    load_settings()
    load_settings()

    (line,) = warnings(caplog)
    assert line == f"{name} is no setting of Spigot, and changes nothing; did you mean {instead}?"


def test_a_name_like_no_other_is_told_without_a_guess(monkeypatch, caplog):
    monkeypatch.setenv("SPIGOT_ZZZ", "1")

    load_settings()

    assert warnings(caplog) == [
        "SPIGOT_ZZZ is no setting of Spigot, and changes nothing; README lists those that there are"
    ]


def test_settings_and_what_others_set_are_not_told(monkeypatch, folder, caplog):
    for name in ("SPIGOT_SERVICE_HOST", "SPIGOT_SERVICE_PORT", "SPIGOT_PORT_8000_TCP", "SPIGOTS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SPIGOT_PORT_8000_SCTP_ADDR", "1")
    monkeypatch.setenv("SPIGOT_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("spigot_log_format", "json")
    names = [variable_name(field) for field in Settings.model_fields]
    (folder / ".env").write_text("".join(f"{name}=\n" for name in names) + "REDIS=x\n")

    load_settings()

    assert warnings(caplog) == []
