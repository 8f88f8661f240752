"""The files that a page of documentation has its reader make."""

import re
from pathlib import Path

FILE = re.compile(r"`([\w./]+)`:\n\n```\w*\n(.*?)```", re.DOTALL)


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
