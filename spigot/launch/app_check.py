"""Finds out, in a process of its own, whether web and workers would start with new files.

Run as ``python -P -m spigot.launch.app_check``; a fault is shown with its traceback.
"""

import sys

from spigot.runtime.errors import OperatorError
from spigot.runtime.log_setup import set_up_logging
from spigot.runtime.settings import load_settings
from spigot.webapp.app import create_app


def main() -> None:
    """Build the API, which imports the applications; exit with status 1 if that fails."""
    settings = load_settings()
    set_up_logging(settings.log_format)
    try:
        create_app(settings)
    except OperatorError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
