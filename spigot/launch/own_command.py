"""How the user starts ``spigot`` in another shell."""

import os
import shutil
import sys
from pathlib import Path


def own_command() -> str:
    """Return ``spigot`` if a shell finds this one by that name, else its path."""
    script = Path(sys.executable).parent / "spigot"
    found = shutil.which("spigot")
    if not script.exists() or (found and Path(found).absolute() == script.absolute()):
        return "spigot"
    return os.path.relpath(script) if script.is_relative_to(Path.cwd()) else str(script)
