"""Reads text from Redis that anybody may have written there."""


def stored_text(stored: bytes) -> str:
    """Return the text; bytes that are no UTF-8 become U+FFFD, so that one value stops nothing."""
    return stored.decode("utf-8", "replace")
