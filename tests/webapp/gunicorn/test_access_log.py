import logging
from datetime import timedelta
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from spigot.webapp.gunicorn.access_log import GunicornLog


@pytest.mark.parametrize(
    ("path", "logged"),
    [("/jobs", True), ("/open", True), ("/open/abc", False), ("/spigot/open/abc", False)],
)
@pytest.mark.parametrize("status", ["200 OK", "403 FORBIDDEN", "500 OOPS"])
def test_a_link_that_logs_in_is_in_no_line(caplog, path, logged, status):
    caplog.set_level(logging.DEBUG, "gunicorn.access")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "token=s3cret"}

    GunicornLog(Config()).access(SimpleNamespace(status=status), None, environ, timedelta(0))

    assert (path in caplog.text) == logged
    assert "s3cret" not in caplog.text
