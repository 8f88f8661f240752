"""webapp -> jobs <- worker: nothing imports against the arrows."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "jobs": {"webapp", "worker", "spigot", "examples", "flask"},
    "webapp": {"worker", "spigot", "examples"},
    "worker": {"webapp", "spigot", "examples", "flask"},
    "examples": {"worker", "spigot"},
}


def imported_packages(module: Path) -> set[str]:
    """Top-level names that ``module`` imports by an absolute import."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_follow_the_arrows(package):
    for module in (ROOT / package).rglob("*.py"):
        assert not imported_packages(module) & FORBIDDEN[package], module
