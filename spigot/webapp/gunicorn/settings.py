"""How gunicorn serves the API."""

import os
import signal
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from spigot.runtime.child_process import die_with_parent
from spigot.runtime.settings import Settings
from spigot.webapp.http.problems import problem
from spigot.webapp.serving.descriptors import fit, open_files_limit
from spigot.webapp.serving.request_worker import RequestWorker

from .access_log import GunicornLog

GRACEFUL_SECONDS = 5
"""Time that requests under way have after SIGTERM."""

MEMORY_FOLDER = Path("/dev/shm")


def gunicorn_settings(settings: Settings, listener_fd: int) -> dict[str, Any]:
    """Return gunicorn's settings by their names.

    Args:
        settings: Ours.
        listener_fd: Descriptor of the socket to serve; gunicorn closes it.

    Raises:
        TooFewDescriptorsError: A process may open too few files.
    """
    return {
        "worker_connections": fit(open_files_limit(), settings.web_threads).connections,
        "bind": f"fd://{listener_fd}",
        "worker_class": _worker_class(settings.max_body_bytes),
        "workers": settings.web_processes,
        "threads": settings.web_threads,
        # The application is built once, before the fork: its imports are paid once, and a fault
        # in it ends the command with one error instead of one process after the other.
        # The price: create_app may start no thread, and its connections must survive a fork.
        "preload_app": True,
        "graceful_timeout": GRACEFUL_SECONDS,
        "post_fork": post_fork,
        "post_worker_init": post_worker_init,
        "child_exit": child_exit,
        # All instances of gunicorn on a machine would share one path.
        "control_socket_disable": True,
        # Who is believed about the client's address is SPIGOT_TRUSTED_PROXIES, in one place.
        "forwarded_allow_ips": "",
        "secure_scheme_headers": {},
        "sendfile": False,  # it would wait for ever for a client that does not read
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 8190,
        # A process proves that it lives by touching a file; a slow disk must not look like death.
        "worker_tmp_dir": str(MEMORY_FOLDER) if os.access(MEMORY_FOLDER, os.W_OK) else None,
        "logger_class": GunicornLog,
        "loglevel": "warning",
    }


def _worker_class(most_body_bytes: int) -> type[RequestWorker]:
    text = problem(408, "the request arrived too slowly; send it faster").get_data()
    return type("Worker", (RequestWorker,), {"most_body_bytes": most_body_bytes, "too_slow": text})


def post_fork(arbiter: Any, worker: Any) -> None:
    """Have a web process die with its master, even when that is killed with SIGKILL."""
    die_with_parent(signal.SIGKILL, worker.ppid)


def post_worker_init(worker: Any) -> None:
    """Have a web process look at the rules file when it gets SIGHUP."""
    door = worker.app.wsgi().extensions.get("door")
    if door is not None:
        door.reload_on_sighup()


def child_exit(arbiter: Any, worker: Any) -> None:
    """Forget what a web process that is gone had under way; what it counted stays."""
    mark_process_dead(worker.pid)
