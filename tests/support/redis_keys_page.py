"""What docs/redis-keys.md names."""

import re
from pathlib import Path

PAGE_NAME = "docs/redis-keys.md"
PAGE = (Path(__file__).parents[2] / PAGE_NAME).read_text()
KEY = re.compile(r"(?:rq|spigot:1):.+")


def first_column(text: str) -> set[str]:
    """Return what the tables of a text name in their first columns."""
    rows = [row for row in text.splitlines() if row.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


KEYS_OF_PAGE = {name for name in first_column(PAGE) if KEY.fullmatch(name)}
