"""The maps of the repository lead to what there is."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.support.page_files import files_of

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
FILE = re.compile(r"\w[\w/]*\.(?:py|lua)\b")
READERS_OWN = {"reports.py", "research.py", "shop.py"}
"""Modules that the reader of a page writes."""
TOPS = ("spigot", "tests", "benchmarks", "deploy", "docs")
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(TOPS)})/[\w./-]*[\w/]")
DOTTED = re.compile(r"\bspigot(?:\.(?!conf\b|json\b)[A-Za-z_]\w*)+")
MAPS = ["docs/architecture.md", "docs/glossary.md", "docs/redis-keys.md", "docs/idle-polling.md"]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "tests" / "support" / "README.md"]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def all_files() -> list[str]:
    return [f"/{path.relative_to(ROOT)}" for top in TOPS for path in (ROOT / top).rglob("*")]


def is_there(dotted: str) -> bool:
    """Return whether ``a.b.C`` is a module, or a name in one."""
    try:
        import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return bool(module) and hasattr(import_module(module), name)
    return True


def test_the_architecture_names_files():
    assert len(set(FILE.findall(ARCHITECTURE))) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page, all_files):
    text = page.read_text()
    named = set(FILE.findall(text)) - READERS_OWN - set(files_of(text))

    gone = [name for name in named if not any(file.endswith(f"/{name}") for file in all_files)]
    assert gone == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page):
    assert [path for path in PATH.findall(page.read_text()) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_and_class_that_a_page_names_exists(page):
    assert [name for name in DOTTED.findall(page.read_text()) if not is_there(name)] == []


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = LINK.findall(page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []
