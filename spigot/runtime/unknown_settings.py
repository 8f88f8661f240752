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
KUBERNETES = re.compile(r"SPIGOT_(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP))(_|$)")
"""What Kubernetes sets in each pod beside a service that is named spigot."""


def warn_of_unknown_settings(known: Collection[str]) -> None:
    """Log one line for each such name, once in a process."""
    for name in sorted({*os.environ, *dotenv_values(".env", interpolate=False)}):
        is_ours = name.upper().startswith(OURS) and not KUBERNETES.match(name)
        if is_ours and name.upper() not in known:
            _warn(name, meant(name.upper(), known))


def meant(name: str, known: Collection[str]) -> str:
    """Return the setting that was perhaps meant; "" if none is near."""
    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=0.75)), "")


@cache
def _warn(name: str, instead: str) -> None:
    hint = f"; did you mean {instead}?" if instead else "; README lists those that there are"
    log.warning("%s is no setting of Spigot, and changes nothing%s", name, hint)
