"""What a line of the log looks like."""

import json
import logging
import sys

import pytest

from spigot.runtime.log_format import JsonFormatter, TextFormatter
from spigot.runtime.log_ids import current_ids, log_ids


def record(message: str, *arguments: object, **more: object) -> logging.LogRecord:
    made = logging.LogRecord(
        "spigot.worker.running.executor", logging.WARNING, "", 1, message, arguments, None
    )
    made.created = 1_700_000_000.25
    for name, value in more.items():
        setattr(made, name, value)
    return made


def failed_record() -> logging.LogRecord:
    try:
        raise KeyError("x")
    except KeyError:
        return record("it failed", exc_info=sys.exc_info())


def test_json_has_what_an_operator_searches_for() -> None:
    line = json.loads(JsonFormatter().format(record("%d jobs", 3)))

    assert line.pop("process") > 0
    assert line == {
        "time": "2023-11-14T22:13:20.250000Z",
        "level": "warning",
        "logger": "spigot.worker.running.executor",
        "message": "3 jobs",
    }


def test_a_whole_second_has_its_fraction_too() -> None:
    line = json.loads(JsonFormatter().format(record("x", created=1_700_000_000)))

    assert line["time"] == "2023-11-14T22:13:20.000000Z"


def test_fields_of_an_event_are_members_of_its_object() -> None:
    line = json.loads(JsonFormatter().format(record("x", fields={"status": 200})))

    assert line["status"] == 200


def test_a_traceback_is_in_the_same_json_line() -> None:
    line = JsonFormatter().format(failed_record())

    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("KeyError: 'x'")


def test_text_is_for_people() -> None:
    line = TextFormatter().format(record("%d jobs", 3))

    assert line.endswith(".250 WARNING spigot.worker.running.executor: 3 jobs")


def test_text_ends_with_the_traceback() -> None:
    first, *_, last = TextFormatter().format(failed_record()).splitlines()

    assert first.endswith("it failed")
    assert last == "KeyError: 'x'"


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[31mred", "\x9b31m", "a\u0085b"])
def test_what_others_wrote_makes_no_line_and_steers_no_terminal(formatter, text) -> None:
    line = formatter.format(record("%s", text))

    assert len(line.splitlines()) == 1
    assert not [character for character in line if not character.isprintable()]


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
@pytest.mark.parametrize("url", ["redis://:s3cret@host/0", "rediss://user:s3cret@host"])
def test_the_password_of_a_url_is_in_no_line(formatter, url) -> None:
    line = formatter.format(record("cannot reach %s", url))

    assert "s3cret" not in line
    assert "***@host" in line


def test_a_line_carries_the_ids_of_its_request_and_job() -> None:
    with log_ids(request_id="r1"), log_ids(job_id="j1"):
        line = json.loads(JsonFormatter().format(record("x")))
        text = TextFormatter().format(record("x"))

    assert (line["request_id"], line["job_id"]) == ("r1", "j1")
    assert text.endswith(": x request_id=r1 job_id=j1")


def test_text_does_not_say_an_id_twice() -> None:
    with log_ids(job_id="j1"):
        assert TextFormatter().format(record("job j1 finished")).endswith(": job j1 finished")


def test_ids_are_carried_no_longer_than_asked() -> None:
    with log_ids(request_id="r1", job_id=""):
        assert current_ids() == {"request_id": "r1"}

    assert current_ids() == {}
