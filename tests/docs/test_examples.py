"""What docs/examples.md shows works as it stands there."""

import json
import re

import pytest

from spigot.runtime.listening_socket import free_port
from tests.support.page_sessions import agrees, check_printed, run_steps, steps_of
from tests.support.spigot_up import ROOT, spigot_up

PAGE = (ROOT / "docs" / "examples.md").read_text()
FILES = [*ROOT.glob("*.json"), *ROOT.glob("examples/*.json")]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_commands_print_what_the_page_says(tmp_path):
    with spigot_up(tmp_path, EXAMPLES_DOCUMENT_SECONDS="6") as stack:  # to be seen at each step
        page = PAGE.replace("127.0.0.1:8000", stack.url.removeprefix("http://"))
        for port in ("8080", "8081"):
            page = page.replace(port, str(free_port()))
        steps = steps_of(page)
        printed = run_steps(steps, cwd=tmp_path, env=stack.environment, seconds=200)

    check_printed(steps, printed)


@pytest.mark.parametrize("line", re.findall(r'```json\n(".*)\n```', PAGE))
def test_the_lines_of_configuration_stand_in_the_files(line):
    [(name, value)] = json.loads(f"{{{line}}}").items()

    assert value in [json.loads(path.read_text()).get(name) for path in FILES]


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", PAGE))))
def test_the_links_lead_to_files(link):
    assert (ROOT / "docs" / link).resolve().exists()


def test_the_three_lines_of_the_door_stand_in_the_gateway():
    [shown] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    gateway = (ROOT / "examples" / "gateway.py").read_text()

    assert squeezed(shown) in squeezed(gateway)


@pytest.mark.parametrize(
    ("printed", "shown", "agree"),
    [
        ("a\n", "a", True),
        ("a\r\nb", "a\nb", True),
        ("a\n", "b", False),
        ("ab", "a", False),
        ('{"id":"1","x":2}', '{"id":"…","x":2}', True),
        ('{"id":"1","x":3}', '{"id":"…","x":2}', False),
        ("1\n2\n3\n4", "1\n…\n4", True),
        ("1\n2\n3\n5", "1\n…\n4", False),
    ],
)
def test_a_page_is_held_to_what_is_printed(printed, shown, agree):
    [step] = steps_of(f"```console\n$ command\n{shown}\n```\n")

    assert agrees(step, printed) is agree


def squeezed(code):
    """Return code without its layout."""
    return re.sub(r"[\s]|,(?=\s*\))", "", code)
