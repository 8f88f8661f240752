import pytest

from spigot.runtime.table import UNBOUNDED
from spigot.runtime.terminal import Cut, State, from_now, print_fields, print_table

LONG = "a text of many words " * 20


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")


def test_a_pipe_gets_whole_lines(capsys):
    print_table(("A", "B"), [("x", Cut(LONG)), ("y", LONG)], elastic={1})

    assert [len(line) for line in capsys.readouterr().out.splitlines()] == [4, 422, 422]
    assert len(LONG) < UNBOUNDED


def test_a_terminal_gets_no_line_that_is_wider(capsys, narrow):
    print_table(("A", "B"), [("name", LONG), ("other", Cut(LONG))], elastic={1})

    *lines, last = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join("".join(line[7:] + " " for line in lines[1:]).split()) == LONG.strip()
    assert (last[:7], len(last), last[-1]) == ("other  ", 40, "…")


def test_what_gives_way_leaves_the_other_columns_whole(capsys, narrow):
    print_table(("ID", "B"), [("0123456789abcdef", "x" * 50)], elastic={1})

    assert "0123456789abcdef  " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"NO_COLOR": "", "FORCE_COLOR": "1"}, True),
    ],
)
def test_heeds_what_is_said_about_colour(capsys, monkeypatch, environment, coloured):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    print_table(("A",), [(State("failed"),)])

    assert ("\x1b[1;31mfailed\x1b[0m" in capsys.readouterr().out) == coloured


def test_colours_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    print_table(("A",), [(State("open"),)])

    assert "\x1b[32mopen\x1b[0m" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [str, State, Cut])
def test_a_strangers_text_does_not_steer_the_terminal(capsys, monkeypatch, kind):
    monkeypatch.setenv("FORCE_COLOR", "1")

    print_table((), [(kind("E: \x1b[2J\n\r\x9b31m [bold]:smile:"),)], elastic={0})

    assert r"E: \x1b[2J\n\r\x9b31m [bold]:smile:" in capsys.readouterr().out


def test_json_values_are_shown_as_they_are_read(capsys):
    print_fields({"result": {"name": "Zoë ☃", "odd": "\x9b\ud800"}})

    assert r'{"name": "Zoë ☃", "odd": "\x9b\ud800"}' in capsys.readouterr().out


def test_fields_show_times_twice(capsys):
    print_fields({"id": 1, "enqueued_at": "1970-01-01T00:00:00Z", "ended_at": None})

    head, enqueued, ended = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "1"]
    assert enqueued.split("  ")[-1].endswith(" d ago, 1970-01-01T00:00:00Z")
    assert ended.split() == ["ended", "at", "-"]


@pytest.mark.parametrize("moment", [None, "", "yesterday", "1970-01-01"])
def test_what_is_no_time_is_shown_as_it_is(moment):
    assert from_now(moment) == moment


@pytest.mark.parametrize(
    ("state", "colour"),
    [("held, goes on in 3 s", 33), ("paused; full", 33), ("quota spent: held", 33), ("open", 32)],
)
def test_the_first_word_of_a_state_says_its_colour(capsys, monkeypatch, state, colour):
    monkeypatch.setenv("FORCE_COLOR", "1")

    print_table((), [[State(state)]])

    assert f"\x1b[{colour}m{state}" in capsys.readouterr().out
