"""Payloads as people write them: JSON."""

import json
from typing import Any


class NoPayloadError(ValueError):
    """A text is not JSON; the message says where."""


def read_payload(text: str | bytes) -> Any:
    """Return what a text says.

    Raises:
        NoPayloadError: It is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise NoPayloadError(f"byte {error.start + 1} is not UTF-8") from error
    except ValueError as error:
        raise NoPayloadError(str(error)) from error
    except RecursionError as error:
        raise NoPayloadError("it is nested too deeply") from error
