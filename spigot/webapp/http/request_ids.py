"""The header ``X-Request-ID``: one name for a request in all logs, from proxy to worker."""

import re
import secrets
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, request

from spigot.runtime.log_ids import log_ids

HEADER = "X-Request-ID"
REQUEST_ID, JOB_ID = "spigot.request_id", "spigot.job_id"
"""Where the WSGI environment has them, for the access log."""

SANE = re.compile(r"[A-Za-z0-9._~:=+/@-]{1,128}")
"""What others' proxies make; anything else is replaced, so that nobody writes into our logs."""


def init_app(app: Flask) -> None:
    """Give every request a name and every answer its header; call it before other extensions."""
    app.after_request(_tell)
    app.wsgi_app = _named(app.wsgi_app)  # type: ignore[assignment, method-assign]


def note_job(job_id: str) -> None:
    """Say that the present request is about this job."""
    request.environ[JOB_ID] = job_id


def _named(serve: WSGIApplication) -> WSGIApplication:
    def named(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = sent if SANE.fullmatch(sent) else secrets.token_hex(16)
        environ[REQUEST_ID] = request_id
        with log_ids(request_id=request_id):
            return serve(environ, start)

    return named


def _tell(response: Response) -> Response:
    response.headers[HEADER] = request.environ[REQUEST_ID]
    job_id = (request.view_args or {}).get("job_id")
    if job_id:
        request.environ.setdefault(JOB_ID, job_id)
    return response
