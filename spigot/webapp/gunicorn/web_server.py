"""gunicorn, run from Python instead of from its command line."""

import signal
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter


class WebServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no annotations
    """Serves an application until told to stop: ``run()``.

    Args:
        create_app: Builds the application.
        options: gunicorn's settings by their names.
    """

    def __init__(self, create_app: Callable[[], Flask], options: Mapping[str, Any]) -> None:
        self._create_app = create_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Take the settings over; called by gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Build the application; called by gunicorn."""
        return self._create_app()

    def run(self) -> None:
        """Serve until a signal ends the master."""
        Master(self).run()


class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no annotations
    """gunicorn's master, which passes SIGHUP on to the web processes.

    gunicorn would replace them by new ones, which know the rules of the start and nothing of
    those that were good since.
    """

    def handle_hup(self) -> None:
        """Have all web processes look at the rules file; called by gunicorn."""
        self.kill_workers(signal.SIGHUP)
