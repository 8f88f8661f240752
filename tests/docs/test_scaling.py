"""The figures of docs/scaling.md agree with each other, and its settings with the code."""

import re
from pathlib import Path

from spigot.runtime.settings import Settings, variable_name
from tests.support.page_files import blocks_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text()
(FORMULA,) = blocks_of(PAGE, "python")
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")}
STEPS = ["request", "enqueue", "look", "start", "renewal", "end"]
COSTS = {
    name: [float(cell) for cell in cells.split("|")]
    for name, cells in re.findall(r"^\| (\w+) \| ([\d.| ]+) \|$", PAGE, re.MULTILINE)
}
LIFE = [name for name in STEPS if name != "renewal"]
HALF_US = 500_000


def us(*steps):
    return sum(COSTS[step][0] for step in steps)


def told(what):
    """Return the number of the table that begins its row so."""
    return int(re.search(rf"^\| {what}[^|]* \| (\d+)", PAGE, re.MULTILINE)[1])


def test_each_step_has_its_row():
    assert list(COSTS) == STEPS


def test_what_a_server_carries_follows_from_the_costs():
    assert told("jobs that are posted") == int(HALF_US / us(*LIFE))
    assert told("jobs that programs enqueue") == int(HALF_US / us("enqueue", "start", "end"))
    assert told("requests at the door") == int(HALF_US / us("request"))
    assert told("leases") == int(HALF_US / us("renewal") * 2)


def test_a_day_the_file_and_the_network_follow_too():
    lives = told("jobs that are posted")
    written, moved = (
        sum(sum(COSTS[step][i] for i in columns) for step in LIFE) * lives
        for columns in [(5,), (3, 4)]
    )

    assert f"{lives} jobs a second are {lives * 86_400 / 1e6:.0f} million a day" in PAGE
    assert f"{written / 1e6:.1f} MB/s to the append-only file" in PAGE
    assert f"move {moved * 8 / 1e6:.0f} Mbit/s" in PAGE


def test_the_formula_has_the_costs_of_the_table(capsys):
    exec(FORMULA, {})
    jobs = us("enqueue", "start", "end") * 200
    others = us("request") * 1000 + us("look") * 400 + us("renewal") * 500 / 2

    assert capsys.readouterr().out == f"{(jobs + others) / 1e6:.0%} of the thread\n"


def test_the_concurrency_is_little_s():
    rate, seconds, places = map(int, re.search(
        r"for (\d+)/s of (\d+) s, that is (\d+) at once", PAGE).groups())  # fmt: skip
    workers = (ROOT / "docs" / "how-many-workers.md").read_text()
    per_worker = float(re.search(r"\| forking \| \d+ \| [\d.]+ \| ([\d.]+) \|", workers)[1])

    assert places == rate * seconds * 1.25
    assert f"{per_worker} MB each | {places} workers, {places * per_worker / 1000:.1f} GB" in PAGE


def test_the_door_needs_a_fifth_of_the_thread_at_that_many_requests():
    requests = int(re.search(r"a fifth of the thread: at (\d+) requests", PAGE)[1])

    assert round(requests * us("request") / 1e6, 1) == 0.2


def test_the_settings_of_two_spigots_are_ours():
    named = set(re.findall(r"^\| `(\w+)` \|", SECTIONS["Several Spigots side by side"], re.M))

    assert len(named) == 6
    assert named <= {variable_name(field) for field in Settings.model_fields}
