import pytest

from spigot.launch.child import describe_end


@pytest.mark.parametrize(
    ("returncode", "words"),
    [(0, "ended with status 0"), (3, "ended with status 3"), (-9, "was killed by SIGKILL")],
)
def test_an_end_is_told_in_words(returncode, words):
    assert describe_end(returncode) == words
