"""The files that a page of documentation has its reader make."""

import re
from pathlib import Path

FILE = re.compile(r"`([\w./]+)`:\n\n```\w*\n(.*?)```", re.DOTALL)


def write_files(page: str, folder: Path) -> list[str]:
    """Write each file whose name and colon stand just before a fenced block; return their names."""
    files = FILE.findall(page)
    for name, text in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [name for name, _ in files]
