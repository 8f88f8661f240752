import pytest

from spigot.launch.child import Backoff, describe_end


def test_waits_twice_as_long_after_each_failure():
    backoff = Backoff(first=1, longest=5, steady=60)
    story = [
        # ran for seconds -> wait seconds
        (0.1, 1),
        (0.1, 2),
        (59, 4),
        (0.1, 5),  # never longer
        (0.1, 5),
        (60, 1),  # a steady run begins anew
        (0.1, 2),
    ]

    for ran_for, delay in story:
        assert backoff.delay_after(ran_for) == delay, ran_for


@pytest.mark.parametrize(
    ("returncode", "words"),
    [(0, "ended with status 0"), (3, "ended with status 3"), (-9, "was killed by SIGKILL")],
)
def test_an_end_is_told_in_words(returncode, words):
    assert describe_end(returncode) == words
