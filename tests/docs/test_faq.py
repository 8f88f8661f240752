"""The commands and links of docs/faq.md work."""

import re
import shlex
from pathlib import Path

import pytest

from spigot.jobs.bucket.file import BucketFile
from tests.support.command_line import run_spigot
from tests.support.page_files import blocks_of

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "faq.md").read_text()
LINES = [line for block in blocks_of(PAGE) for line in block.splitlines()]
NAMED = sorted(set(re.findall(r"`spigot ((?:job|bucket|limits)? ?[a-z]+)", PAGE)))
SECTIONS = sorted(
    set(
        re.findall(
            r"\]\(([\w-]+\.md)#([\w-]+)\)", "".join(p.read_text() for p in DOCS.glob("*.md"))
        )
    )
)


@pytest.fixture
def folder(redis, redis_url, tmp_path, monkeypatch):
    """A server that works, and defaults for everything else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)
    (tmp_path / "rate_limits.json").write_text("{}")
    (tmp_path / "buckets.json").write_text("{}")
    BucketFile(tmp_path / "buckets.json", ()).publish(redis)


@pytest.mark.parametrize("line", LINES)
def test_the_commands_work(folder, line):
    program, *arguments = shlex.split(line)
    result = run_spigot(*arguments)

    assert program == "spigot"
    if arguments == ["doctor"]:  # which finds that no worker runs
        assert "worker" in result.stdout
    else:
        assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("command", NAMED)
def test_the_commands_that_are_named_exist(command):
    assert run_spigot(*command.split(), "--help").exit_code == 0


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_a_link_to_a_section_of_a_page_finds_it(page, section):
    headings = re.findall(r"^#+ (.*)", (DOCS / page).read_text(), re.MULTILINE)

    assert section in [re.sub(r"[^\w\- ]", "", h).lower().replace(" ", "-") for h in headings]
