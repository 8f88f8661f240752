"""The maps of the repository lead to what there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
FILE = re.compile(r"[\w/]+\.(?:py|lua)\b")
MAPS = ["docs/architecture.md", "docs/glossary.md", "docs/redis-keys.md", "docs/idle-polling.md"]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "tests" / "support" / "README.md"]
LINKS = [
    (page, link)
    for page in PAGES
    for link in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
]


def all_files() -> list[str]:
    return [
        f"/{path.relative_to(ROOT)}"
        for top in ("spigot", "tests", "benchmarks")
        for path in (ROOT / top).rglob("*")
    ]


def test_every_file_that_the_architecture_names_exists():
    files = all_files()
    named = set(FILE.findall(ARCHITECTURE))

    assert len(named) > 20
    assert [name for name in sorted(named) if not any(f.endswith(f"/{name}") for f in files)] == []


def test_every_folder_that_the_architecture_names_exists():
    folders = re.findall(r"`(spigot/\w+|(?:webapp|jobs|worker)/\w+)/?`", ARCHITECTURE)

    assert len(folders) > 5
    for folder in folders:
        assert (ROOT / "spigot" / folder.removeprefix("spigot/")).is_dir(), folder


@pytest.mark.parametrize("page", [*MAPS, "tests/support/README.md"])
def test_contributors_find_the_maps(page):
    assert f"]({page})" in (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("page", MAPS)
def test_readers_find_the_maps(page):
    assert f"]({page})" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_links_lead_to_files(page, link):
    assert (page.parent / link).exists()
