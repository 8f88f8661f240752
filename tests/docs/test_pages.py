"""What docs/pages.md says of who sees what, held against the tests of that."""

import re
from pathlib import Path

from tests.support.open_routes import OPEN

PAGE = (Path(__file__).parents[2] / "docs" / "pages.md").read_text()
ROW = re.compile(r"^\| `([A-Z]+) ([^`]+)` \| (anyone|admin) \|", re.MULTILINE)
VARIABLES = {"<job_id>": "ID", "<name>": "NAME"}


def test_the_table_names_what_is_open():
    table = {(method, path) for method, path, who in ROW.findall(PAGE) if who == "anyone"}

    expected = set()
    for method, rule in OPEN - {("GET", "/static/<path:filename>")}:
        for variable, word in VARIABLES.items():
            rule = rule.replace(variable, word)
        expected.add((method, rule))
    assert table == expected
