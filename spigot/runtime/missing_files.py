"""What a process says at its start of the two files that are not there.

One that somebody named must be there; without one that nobody named, the defaults are used.
"""

import logging
from pathlib import Path

from .settings import Settings, SettingsError, variable_name

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


def refuse_missing_file(settings: Settings, *fields: str) -> None:
    """Stop the start if a setting names a file that is not there.

    Args:
        settings: Of this process.
        *fields: ``rate_limits`` or ``buckets``: what the process reads.

    Raises:
        SettingsError: The message names the variable, its value and what is allowed.
    """
    for field in fields:
        path: Path = getattr(settings, field)
        if not settings.is_unset(field) and _is_missing(path):
            raise SettingsError(
                f"{variable_name(field)}={str(path)!r} cannot be read: there is no such file; one "
                "with {} will do"
            )


def _is_missing(path: Path) -> bool:
    """Return whether there is no such file; not where nobody may look, which who reads it says."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
