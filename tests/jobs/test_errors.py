"""Errors travel between processes as they were raised."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from spigot import BucketFull, InvalidPayload, RateLimited, UnknownJobType
from spigot.jobs.bucket.configuring import UnknownBucketError
from spigot.webapp.http.request_body import InvalidBody


class TooMany(RateLimited):
    """What an application may derive, with a constructor of its own."""

    def __init__(self, partner: str, *, seconds: float) -> None:
        self.partner = partner
        super().__init__(seconds)


ERRORS = [
    RateLimited(30),
    RateLimited(headers={"Retry-After": "7"}),
    TooMany("acme", seconds=4),
    BucketFull("bucket 'ai' is full", "ai", 2.5),
    InvalidPayload("add", [{"field": "x", "problem": "Field required"}]),
    UnknownJobType("subtract", ["add", "order"]),
    UnknownBucketError("ai"),
    InvalidBody([{"field": "type", "problem": "Field required"}]),
]
each_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


@each_error
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling(error, protocol):
    check_same(pickle.loads(pickle.dumps(error, protocol)), error)


@each_error
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_an_error_can_be_copied(error, copied):
    check_same(copied(error), error)


@each_error
def test_an_error_keeps_its_notes(error):
    noted = copy.copy(error)
    noted.add_note("at the third page")

    assert pickle.loads(pickle.dumps(noted)).__notes__ == ["at the third page"]


@pytest.mark.slow
def test_an_error_comes_out_of_a_process_pool_which_goes_on():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for error in ERRORS:
            check_same(pool.submit(fail, error).exception(timeout=60), error)
        group = pool.submit(fail, ExceptionGroup("both", ERRORS[:2])).exception(timeout=60)

    assert [error.retry_after for error in group.exceptions] == [30, 7]


def fail(error: Exception) -> None:
    raise error


def check_same(found: Exception, error: Exception) -> None:
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert found.args == error.args
    assert vars(found) == vars(error)
