"""The password that ``spigot up`` makes up for the admin, kept for its owner in the data folder."""

import os
import secrets
from pathlib import Path

from spigot.runtime.errors import OperatorError

FILENAME = "admin-password"


class PasswordFileError(OperatorError):
    """The file with the password cannot be used; the message says why."""


def kept_password(data_dir: Path) -> str | None:
    """Return the password that was made up on this data folder; None if none was.

    Raises:
        PasswordFileError: The file is there and cannot be read.
    """
    try:
        return (data_dir / FILENAME).read_text().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(data_dir, error) from error


def make_password(data_dir: Path) -> str:
    """Return the password of this data folder, made up when the first is asked for.

    Raises:
        PasswordFileError: The file can be neither read nor written.
    """
    password = kept_password(data_dir) or secrets.token_urlsafe(12)
    try:
        file = os.open(data_dir / FILENAME, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(file, "w") as opened:
            os.fchmod(file, 0o600)
            opened.write(f"{password}\n")
            opened.truncate()
    except OSError as error:
        raise _unusable(data_dir, error) from error
    return password


def _unusable(data_dir: Path, error: OSError | UnicodeDecodeError) -> PasswordFileError:
    why = error.strerror if isinstance(error, OSError) else "it is no text"
    return PasswordFileError(
        f"{data_dir / FILENAME} cannot be used: {why}; delete it, or set SPIGOT_ADMIN_PASSWORD"
    )
