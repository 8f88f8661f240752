from spigot.runtime.backoff import Backoff


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
