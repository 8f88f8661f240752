"""Who gives a command."""

import getpass
import os


def user_name() -> str:
    """Return the user's name, or the number of one who has no name here, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
