"""Where in an application an error was raised: its author's own line, not that of a library."""

import sys
import sysconfig
import traceback
from pathlib import Path

LIBRARIES = tuple(
    f"{folder}/"
    for folder in {*sysconfig.get_paths().values(), sys.prefix, str(Path(__file__).parent)}
    if folder
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
    return "/site-packages/" in filename or filename.startswith(LIBRARIES)


def _near(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename
