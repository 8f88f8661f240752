"""Where in an application an error was raised: its author's own line, not that of a library."""

import re
import sys
import sysconfig
import traceback
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

OF_SPIGOT = re.compile(rf"^{re.escape(str(PACKAGE))}/(?!examples/)")
"""How names of Spigot's own files begin, wherever it lies; its examples are applications."""

LIBRARIES = tuple(
    f"{folder}/" for folder in {*sysconfig.get_paths().values(), sys.prefix} if folder
)


def own_place(error: BaseException) -> str:
    """Return ``FILE:LINE`` of the innermost frame of an application; "" if there is none.

    The file is shown as seen from the present folder.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_near(error.filename)}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        name = frame.filename
        if not name.startswith("<") and not _is_library(name):
            return f"{_near(name)}:{frame.lineno}"
    return ""


def _is_library(filename: str) -> bool:
    is_of_others = "/site-packages/" in filename or filename.startswith(LIBRARIES)
    return is_of_others or OF_SPIGOT.match(filename) is not None


def _near(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename
