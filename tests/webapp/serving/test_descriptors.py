import pytest

from spigot.webapp.serving.descriptors import (
    MOST_CONNECTIONS,
    MOST_PARKED,
    OWN,
    PER_THREAD,
    TooFewDescriptorsError,
    fit,
)


@pytest.mark.parametrize("limit", [128, 200, 256, 512, 1024, 2048, 4096, 1 << 20])
@pytest.mark.parametrize("threads", [1, 8, 64, 500])
def test_what_is_served_fits(limit, threads):
    room = fit(limit, threads)

    busy = min(threads, room.connections)
    assert OWN + PER_THREAD * busy + room.connections + room.parked <= limit
    assert room.connections >= 8
    assert room.parked >= 1


@pytest.mark.parametrize("limit", [4096, -1])
def test_with_enough_of_them_all_are_served(limit):
    room = fit(limit, 64)

    assert (room.connections, room.parked) == (MOST_CONNECTIONS, MOST_PARKED)
    assert not room.is_less_than_wanted


def test_with_the_usual_limit_there_is_room_for_some_hundred_of_each():
    room = fit(1024, 64)

    assert room.connections > 400
    assert room.parked > 200
    assert room.is_less_than_wanted


@pytest.mark.parametrize("limit", [0, 20, 100])
def test_too_few_are_told_with_the_cure(limit):
    with pytest.raises(TooFewDescriptorsError, match=rf"may open {limit} files.*ulimit -n"):
        fit(limit, 64)
