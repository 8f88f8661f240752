"""Reads what a downstream answered out of whatever an HTTP library or an SDK makes of it.

Known are the responses of ``requests``, ``httpx``, ``aiohttp`` and ``urllib``, and the exceptions
of SDKs: some carry the response (``openai``, ``anthropic``), some a status and the parsed body of
their own (``google-genai``, ``stripe``, ``PyGithub``), ``botocore``'s a dictionary. None of these
libraries is imported: attributes are read one by one, and what cannot be read is not there.
"""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.error import HTTPError

from .retry_after import sent_in

LARGEST_BODY = 65_536
"""Bytes; a longer body is not read."""

STATUS_NAMES = ("status_code", "http_status", "status", "code")
BODY_NAMES = ("body", "json_body", "details", "data")

Node = Mapping[Any, Any]

MOST_NODES = 200
"""Objects of a body that are looked at."""

ALWAYS_REFUSED = frozenset({402, 413, 429, 503, 529})
"""The caller gets an exception in any case, so a body that is on its way may be used up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a downstream answered.

    Attributes:
        status: Status code of HTTP; None if it is not known.
        headers: Name as sent and value, by the name in small letters.
        nodes: All objects of the JSON body, outer ones first.
        message: What an exception says; "" for a response.
        is_exception: Whether it was an exception.
    """

    status: int | None
    headers: Mapping[str, tuple[str, str]]
    nodes: Sequence[Node]
    message: str
    is_exception: bool

    @property
    def sent(self) -> dict[str, str]:
        """The headers by their names as sent."""
        return dict(self.headers.values())


NOTHING = Answer(None, {}, (), "", False)


def answer_of(thing: object) -> Answer:
    """Read a response or an exception; whatever it is, nothing is raised."""
    try:
        return _read(thing)
    except Exception:  # an object that is no answer may do anything when it is looked at
        return NOTHING


def _read(thing: object) -> Answer:
    response = _attribute(thing, "response")
    if isinstance(response, Mapping):
        return _answer_of_boto(thing, response)
    is_exception = isinstance(thing, BaseException)
    status = _status_of(thing) or _status_of(response)
    return Answer(
        status,
        _headers_of(thing) or _headers_of(response),
        _document_of(thing, status) or _document_of(response, status),
        _words_of(thing) if is_exception else "",
        is_exception,
    )


def _answer_of_boto(thing: object, response: Mapping[str, Any]) -> Answer:
    """Read botocore's ``ClientError.response``."""
    metadata = response.get("ResponseMetadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    status = _number(metadata.get("HTTPStatusCode"))
    headers = _sent(metadata.get("HTTPHeaders"))
    return Answer(status, headers, _nodes(response), _words_of(thing), True)


def _attribute(thing: object, name: str) -> Any:
    """Return an attribute; None if it is not there or cannot be read, as ``httpx`` has them."""
    try:
        return getattr(thing, name, None)
    except Exception:  # whatever a property of somebody else's class raises
        return None


def _number(value: object) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isdecimal():
        value = int(value)
    return int(value) if isinstance(value, int) and 100 <= value <= 599 else None


def _status_of(thing: object) -> int | None:
    found = (_number(_attribute(thing, name)) for name in STATUS_NAMES)
    return next((status for status in found if status is not None), None)


def _headers_of(thing: object) -> dict[str, tuple[str, str]]:
    return _sent(_attribute(thing, "headers"))


def _sent(headers: Any) -> dict[str, tuple[str, str]]:
    try:
        return sent_in(headers) if headers else {}
    except Exception:  # headers of a kind that we do not know
        return {}


def _words_of(error: object) -> str:
    try:
        return str(error)
    except Exception:  # an exception whose message cannot be read
        return ""


# The body


def _document_of(thing: object, status: int | None) -> Sequence[Node]:
    """Return the objects of the body, read or still on its way."""
    if thing is None:
        return ()
    for name in BODY_NAMES:
        value = _attribute(thing, name)
        if isinstance(value, str | bytes):
            value = _parse(value)
        if isinstance(value, Mapping | list) and (nodes := _nodes(value)):
            return nodes
    try:
        return _nodes(_parse(_first_bytes(thing, status)))
    except Exception:  # a body that was used up, is cut off, or belongs to an event loop
        return ()


def _first_bytes(response: Any, status: int | None) -> str | bytes:
    """Return the body, cut off where it is too long."""
    may_use_up = status in ALWAYS_REFUSED and _is_json(response)
    if isinstance(response, HTTPError | HTTPResponse):
        return response.read(LARGEST_BODY + 1) if may_use_up else b""
    content = (_attribute(response, "__dict__") or {}).get("_content")
    if isinstance(content, bytes):  # in requests and httpx alike, a body that was read
        return content
    for name in ("iter_content", "iter_bytes"):
        chunks = _attribute(response, name)
        if callable(chunks):
            return _join(chunks(LARGEST_BODY + 1)) if may_use_up else b""
    texts = (_attribute(response, name) for name in ("content", "text"))
    return next((text for text in texts if isinstance(text, str | bytes)), b"")


def _is_json(response: object) -> bool:
    return "json" in _headers_of(response).get("content-type", ("", ""))[1].lower()


def _join(chunks: Iterable[bytes]) -> bytes:
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > LARGEST_BODY:
            break
    return body


def _parse(body: str | bytes) -> object:
    if len(body) > LARGEST_BODY:
        return None
    try:
        if isinstance(body, bytes):
            body = body.decode(json.detect_encoding(body), "replace")
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _nodes(document: object) -> tuple[Node, ...]:
    """Return the objects of a document, outer ones first."""
    waiting = deque([document])
    nodes: list[Node] = []
    while waiting and len(nodes) < MOST_NODES:
        node = waiting.popleft()
        if isinstance(node, Mapping):
            nodes.append(dict(node))
            node = list(node.values())
        if isinstance(node, list | tuple):
            waiting.extend(inner for inner in node if isinstance(inner, Mapping | list | tuple))
    return tuple(nodes)
