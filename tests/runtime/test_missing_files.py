import re

import pytest

from spigot.runtime.missing_files import refuse_missing_file
from spigot.runtime.settings import SettingsError, load_settings

VARIABLES = [("SPIGOT_RATE_LIMITS", "rate_limits"), ("SPIGOT_BUCKETS", "buckets")]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """No file is there, and none is named."""
    monkeypatch.chdir(tmp_path)
    for variable, _ in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(("variable", "field"), VARIABLES)
def test_a_file_that_is_named_must_be_there(monkeypatch, tmp_path, variable, field):
    monkeypatch.setenv(variable, "mine.json")

    with pytest.raises(SettingsError, match=re.escape(f"{variable}='mine.json' cannot be read: ")):
        refuse_missing_file(load_settings(), field)
    (tmp_path / "mine.json").write_text("{}")
    refuse_missing_file(load_settings(), field)


def test_a_file_that_nobody_named_need_not_be_there():
    refuse_missing_file(load_settings(), "rate_limits", "buckets")


def test_one_that_cannot_be_looked_for_is_left_to_who_reads_it(monkeypatch):
    monkeypatch.setenv("SPIGOT_BUCKETS", "x" * 300)

    refuse_missing_file(load_settings(), "buckets")
