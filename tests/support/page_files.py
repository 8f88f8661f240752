"""The fenced blocks of a page of documentation, and the files that it has its reader make."""

import re
from pathlib import Path

FILE = re.compile(r"`([\w./-]+)`:\n\n```\w*\n(.*?)```", re.DOTALL)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks_of(page: str, language: str = "") -> list[str]:
    """Return the fenced blocks of that language."""
    return [text for found, text in BLOCK.findall(page) if found == language]


def files_of(page: str) -> dict[str, str]:
    """Return the files whose name and colon stand just before a fenced block, by their names."""
    return dict(FILE.findall(page))


def write_files(page: str, folder: Path) -> list[str]:
    """Write the files of a page; return their names."""
    files = files_of(page)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(files)
