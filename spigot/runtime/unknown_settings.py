"""Names in the environment and in ``.env`` that look like settings of Spigot, and are none."""

import logging
import os
import re
from collections.abc import Collection
from difflib import get_close_matches
from functools import cache

from dotenv import dotenv_values

log = logging.getLogger(__name__)

OURS = "SPIGOT_"
KUBERNETES = re.compile(r"SPIGOT_(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP|SCTP))(_|$)")
ADDRESS = re.compile(r"(tcp|udp|sctp)://")
"""What Kubernetes sets in each pod beside a service that is named spigot; and ``SPIGOT_PORT`` is
such an address. Source: kubernetes.io, "Service", chapter "Environment variables"."""


def warn_of_unknown_settings(known: Collection[str]) -> None:
    """Log one line for each such name, once in a process."""
    for name in sorted({*os.environ, *dotenv_values(".env", interpolate=False)}):
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
def _warn(name: str, instead: str) -> None:
    hint = f"; did you mean {instead}?" if instead else "; README lists those that there are"
    log.warning("%s is no setting of Spigot, and changes nothing%s", name, hint)
