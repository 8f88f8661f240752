"""Tells that the defaults are used: nobody named the two files, and they do not exist."""

import logging

from .settings import Settings

log = logging.getLogger(__name__)

DEFAULTS = {
    "rate_limits.json": "no rate limits",
    "buckets.json": "each bucket starts 10 jobs a second and holds 1000",
}


def tell_missing_files(settings: Settings) -> None:
    """Log in one line which files are missing, and what holds without them."""
    names = [path.name for path in settings.missing_files()]
    if names:
        numbers = "; ".join(DEFAULTS[name] for name in names)
        log.info("running on defaults, without %s: %s", " and ".join(names), numbers)
