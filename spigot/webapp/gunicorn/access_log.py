"""gunicorn's lines in the form of all others: its faults, and one line per request."""

import logging
from datetime import timedelta
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from spigot.webapp.http.request_ids import JOB_ID, REQUEST_ID

QUIET = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines; logged only if they are answered with an error."""

SECRET = "/open/"
"""Beginning of addresses that are secrets: links that log the admin in."""

IDS = {"request_id": REQUEST_ID, "job_id": JOB_ID}


class GunicornLog(Logger):  # type: ignore[misc]  # gunicorn has no annotations
    """Leaves format and destination to the handlers of the root logger."""

    def setup(self, cfg: Config) -> None:
        """Take gunicorn's settings; called by it."""
        self.cfg = cfg
        self._access_log_enabled = True
        self.loglevel = self.LOG_LEVELS[cfg.loglevel]
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        self.error_log.propagate = self.access_log.propagate = True

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log one request, without its query, which may hold secrets, unless its path is one."""
        # gunicorn answers a request that it cannot read by itself, and did not read its path
        path = environ.get("PATH_INFO") or req.path
        method = environ["REQUEST_METHOD"]
        if SECRET in path:
            return
        status = int(str(resp.status).split(maxsplit=1)[0])
        level = logging.DEBUG if path in QUIET and status < 400 else logging.INFO
        seconds = request_time.total_seconds()
        fields = {
            "method": method,
            "path": path,
            "status": status,
            "seconds": seconds,
            "client": environ.get("REMOTE_ADDR"),
            **{name: environ[key] for name, key in IDS.items() if key in environ},
        }
        self.access_log.log(
            level, "%s %s %d in %.3f s", method, path, status, seconds, extra={"fields": fields}
        )
