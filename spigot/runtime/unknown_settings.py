"""What in the environment and in ``.env`` looks like a setting of Spigot, and is none."""

import logging
import os
import re
from collections.abc import Collection
from difflib import get_close_matches
from functools import cache
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from .errors import OperatorError

log = logging.getLogger(__name__)

DOTENV = Path(".env")

OURS = "SPIGOT_"
KUBERNETES = re.compile(r"SPIGOT_(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP|SCTP))(_|$)")
ADDRESS = re.compile(r"(tcp|udp|sctp)://")
"""What Kubernetes sets in each pod beside a service that is named spigot; and ``SPIGOT_PORT`` is
such an address. Source: kubernetes.io, "Service", chapter "Environment variables"."""


class DotenvError(OperatorError):
    """The file ``.env`` cannot be read."""


def read_dotenv() -> str:
    """Return what stands in ``.env``; "" if there is none.

    A line that states nothing is logged once in a process: here, and by the library no more.

    Raises:
        DotenvError: It cannot be read, or is no UTF-8 text.
    """
    if not DOTENV.is_file():
        return ""
    try:
        text = DOTENV.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"it is no UTF-8 text, from byte {error.start + 1} on"
        raise DotenvError(f".env cannot be read: {what}") from error
    except OSError as error:
        raise DotenvError(f".env cannot be read: {error.strerror}") from error
    logging.getLogger("dotenv.main").setLevel(logging.ERROR)
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            _warn_of_line(binding.original.line)
    return text


def warn_of_unknown_settings(known: Collection[str]) -> None:
    """Log one line for each such name, once in a process.

    Raises:
        DotenvError: As ``read_dotenv``.
    """
    in_file = dotenv_values(stream=StringIO(read_dotenv()), interpolate=False)
    for name in sorted({*os.environ, *in_file}):
        is_ours = name.upper().startswith(OURS) and not _is_of_kubernetes(name)
        if is_ours and name.upper() not in known:
            _warn(name, meant(name.upper(), known))


def _is_of_kubernetes(name: str) -> bool:
    address = os.environ.get(name, "") if name == "SPIGOT_PORT" else ""
    return bool(KUBERNETES.match(name) or ADDRESS.match(address))


def meant(name: str, known: Collection[str]) -> str:
    """Return the setting that was perhaps meant; "" if none is near."""
    if name.removeprefix(OURS) in known:
        return name.removeprefix(OURS)
    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=0.75)), "")


@cache
def _warn_of_line(number: int) -> None:
    log.warning(".env: line %d states nothing: write NAME=value", number)


@cache
def _warn(name: str, instead: str) -> None:
    hint = f"; did you mean {instead}?" if instead else "; README lists those that there are"
    log.warning("%s is no setting of Spigot, and changes nothing%s", name, hint)
