"""When an idle worker reaps, and what it does with what it finds."""

import math
from unittest.mock import Mock, call

import pytest

from spigot.worker.idle.reaping import REAP_SECONDS, REAPED_MS, Reaping
from spigot.worker.leases.lease_answers import Reaped

NOTHING = Reaped({}, [], 0)
MORE = Reaped({}, [], 1, more=True)
FOUND = Reaped({}, [], 0, brought_back=["job-1 waits again"])


@pytest.fixture
def leases():
    return Mock(reap=Mock(return_value=NOTHING))


@pytest.fixture
def lost_jobs():
    return Mock(look=Mock(return_value=None))


@pytest.fixture
def on_found():
    return Mock()


@pytest.fixture
def reaping(leases, lost_jobs, on_found):
    return Reaping(leases, lost_jobs, on_found)


def test_a_worker_that_has_not_reaped_yet_is_to_reap(reaping):
    assert reaping.is_due


def test_it_leaves_out_a_reap_that_others_have_done(reaping):
    reaping.note_reap_of_others(math.inf)
    assert reaping.is_due
    reaping.note_reap_of_others(REAP_SECONDS - 1000)
    assert not reaping.is_due


def test_an_older_reap_of_others_makes_none_due(reaping):
    reaping.note_reap_of_others(-1000)
    reaping.note_reap_of_others(1000)

    assert not reaping.is_due


def test_what_is_found_is_finished(reaping, on_found):
    reaping.reap()

    on_found.assert_called_once_with(NOTHING)
    assert not reaping.has_more


def test_it_goes_on_at_once_while_there_is_more(reaping, leases):
    leases.reap.side_effect = [MORE, NOTHING]

    reaping.reap()
    assert reaping.has_more
    assert reaping.is_due
    reaping.reap()

    assert not reaping.has_more
    assert leases.reap.mock_calls == [call(fresh_ms=REAPED_MS), call(fresh_ms=0)]


def test_lost_jobs_that_came_back_are_told(reaping, lost_jobs, on_found):
    reaping.look_for_lost_jobs()
    on_found.assert_not_called()

    lost_jobs.look.return_value = FOUND
    reaping.look_for_lost_jobs()

    on_found.assert_called_once_with(FOUND)
