"""An HTTP server of Python's in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer

POLL_SECONDS = 0.01
"""How long its end may take; Python's own half a second is added to each test."""


@contextmanager
def served(server: HTTPServer) -> Iterator[str]:
    """Serve until the block ends; yield host and port."""
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
