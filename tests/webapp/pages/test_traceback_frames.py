"""The application's own frames, found in tracebacks of all kinds."""

import asyncio
import traceback

import pytest

from spigot import enqueue
from spigot.webapp.pages.traceback_frames import frames_of


async def fail() -> None:
    raise KeyError("k")


async def fail_alone() -> None:
    await fail()


async def fail_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


@pytest.mark.parametrize("function", [fail_alone, fail_in_a_group])
def test_the_innermost_frame_has_its_place_and_its_line(function):
    with pytest.raises((KeyError, ExceptionGroup)) as raised:
        asyncio.run(function())
    found = frames_of("".join(traceback.format_exception(raised.value)))
    mine = [frame for frame in found if frame["file"] == __file__]

    assert mine[-1]["function"] == "fail"
    assert mine[-1]["code"][0] == 'raise KeyError("k")'
    assert all(frame["own"] for frame in mine)
    assert len(found) > len(mine)


def test_frames_of_spigot_are_none_of_the_application():
    with pytest.raises(ValueError, match="delay") as raised:
        enqueue("add", delay=-1)
    mine, *others = frames_of("".join(traceback.format_exception(raised.value)))

    assert (mine["own"], mine["file"]) == (True, __file__)
    assert others
    assert not any(frame["own"] for frame in others)


def test_no_traceback_has_no_frames():
    assert frames_of(None) == []
