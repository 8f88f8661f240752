"""The body of a request, whose faults are the client's and answered as such."""

from collections.abc import Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, TypeVar

from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout

from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem

from .arrived_bytes import BodyTooLong, BodyTooSlow

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Value = TypeVar("Value")


class ClientBody:
    """Reads a body.

    Every method raises ``RequestTimeout`` (408) if the rest came too slowly, ``BadRequest`` (400)
    if its chunks are broken, and ``RequestEntityTooLarge`` (413) if it is too long.

    Args:
        body: As the web server gives it.
    """

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, or all."""
        return _read(lambda: self._body.read(size))

    def readline(self, size: int = -1) -> bytes:
        """Return one line."""
        return _read(lambda: self._body.readline(size))

    def readlines(self, hint: int = -1) -> list[bytes]:
        """Return all lines."""
        return _read(lambda: self._body.readlines(hint))

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line


def _read(read: Callable[[], Value]) -> Value:
    try:
        return read()
    except BodyTooSlow as error:
        raise RequestTimeout("the body arrived too slowly; send it faster") from error
    except BodyTooLong as error:
        raise RequestEntityTooLarge("the body is too long") from error
    except ParseException as error:
        told = problem(400, "the body's chunks are broken", type=ProblemType.BROKEN_BODY)
        raise BadRequest(response=told) from error


def with_client_body(application: "WSGIApplication") -> "WSGIApplication":
    """Return an application whose requests have a ``ClientBody``."""

    def call(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        body: Any = ClientBody(environ["wsgi.input"])
        environ["wsgi.input"] = body
        return application(environ, start_response)

    return call
