"""Where the application stands that its author tests."""

from pathlib import Path

import pytest

from tests.testing import tested_app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, without files; no server is anywhere near, and nothing has run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    tested_app.attempts.clear()
    return tmp_path
