"""How long a client may take for what it sends or reads."""

FIRST_SECONDS = 10.0
"""Time for the first bytes, and for a client that stands still."""

LEAST_BYTES_PER_SECOND = 2048
"""Each second's worth of bytes gives a client one second more."""


def seconds_for(count: int) -> float:
    """Return the seconds in which a client must have sent or read more than ``count`` bytes.

    Source: the same rule as that of Apache's ``mod_reqtimeout`` (``body=10,MinRate=2048``).
    """
    return FIRST_SECONDS + count / LEAST_BYTES_PER_SECOND
