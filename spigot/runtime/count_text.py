"""How many of something there are, in words."""


def count_text(number: int, one: str, many: str = "") -> str:
    """Return ``1 job``, ``1,200 jobs``; with a verb ``1 job waits``, ``2 jobs wait``.

    Args:
        number: How many there are.
        one: What is said of one.
        many: What is said of any other number; "" for ``one`` with an *s*.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
