"""What SECURITY.md says, held against settings, rights and the Makefile."""

import re
import subprocess
from pathlib import Path

from spigot.runtime.settings import Settings, variable_name

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
SECRETS = PAGE.partition("## What each secret protects")[2].partition("\n## ")[0]
RIGHTS = (ROOT / "docs" / "security.md").read_text()
URLS = ("redis_url", "limits_redis_url")
"""Settings that may hold a password beside other things."""


def test_each_secret_has_its_row():
    secret = [name for name, field in Settings.model_fields.items() if not field.repr]

    assert "admin_password" in secret
    for name in [*secret, *URLS]:
        assert f"`{variable_name(name)}`" in SECRETS


def test_the_settings_that_it_names_are_there():
    named = set(re.findall(r"`(SPIGOT_\w+|REDIS_URL)`", PAGE))

    assert named <= {variable_name(field) for field in Settings.model_fields}


def test_the_user_of_the_server_may_not_do_what_it_says():
    (forbidden,) = re.findall(r"may not ((?:`[A-Z]+`(?:, | or )?)+)", PAGE)
    granted = set(re.findall(r"\+(\w+)", RIGHTS))

    assert len(re.findall(r"[A-Z]+", forbidden)) == 4
    assert not granted & {name.lower() for name in re.findall(r"[A-Z]+", forbidden)}


def test_the_audit_checks_what_is_installed():
    plan = subprocess.run(
        ["make", "--dry-run", "audit"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert "pip-audit --requirement requirements.lock --require-hashes" in plan


def test_readers_find_it():
    assert "](SECURITY.md)" in (ROOT / "README.md").read_text()


def test_every_abuse_that_is_a_test_is_named():
    suite = ROOT / "tests" / "abuse"

    assert "`tests/abuse/`" in PAGE
    assert len(list(suite.glob("test_*.py"))) >= 3
