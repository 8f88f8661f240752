"""``spigot up --reload``: web and workers start anew when the application's files change."""

import logging
import subprocess
import sys
from collections.abc import Mapping

from spigot.runtime.child_process import start_child

from .app_files import AppFiles
from .supervisor import Supervisor

log = logging.getLogger(__name__)

CHECK = (sys.executable, "-P", "-m", "spigot.launch.app_check")
CHECK_SECONDS = 60.0
LOOK_SECONDS = 0.5
SHOWN = 3
"""Names of changed files that are told."""


class Reloading:
    """Starts web and workers anew once files have changed and can be imported.

    If they cannot, the old processes go on, and the fault is shown.

    Args:
        supervisor: Runs the children.
        files: What is watched.
        environment: Of the children.
    """

    def __init__(
        self, supervisor: Supervisor, files: AppFiles, environment: Mapping[str, str]
    ) -> None:
        self._supervisor = supervisor
        self._files = files
        self._environment = environment

    def look(self) -> None:
        """Look at the files, and do what they ask for; called again and again."""
        changed = self._files.changes()
        if not changed:
            return
        names = ", ".join(changed[:SHOWN]) + (" and others" if len(changed) > SHOWN else "")
        if not self._can_be_used():
            log.error("%s changed and cannot be used: what ran before goes on", names)
            return
        log.info("%s changed: web and workers start anew", names)
        self._supervisor.restart("web")
        self._supervisor.restart("workers")
        log.info("web and workers run with the new files")

    def _can_be_used(self) -> bool:
        """Import them in a process of its own, which says what is wrong."""
        check = start_child(CHECK, env=self._environment, stdin=subprocess.DEVNULL)
        try:
            return check.wait(CHECK_SECONDS) == 0
        except subprocess.TimeoutExpired:
            check.kill()
            check.wait()
            log.error("importing the files took longer than %g s", CHECK_SECONDS)
            return False
