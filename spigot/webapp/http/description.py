"""What the API's documentation says of a route, beside the route."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from .problems import MEDIA_TYPE as PROBLEM
from .problems import Problem

View = TypeVar("View", bound=Callable[..., Any])
MARK = "__spigot_description__"


@dataclass(frozen=True)
class Value:
    """A header, or something in the address.

    Attributes:
        name: As it is sent.
        meaning: What it says.
        schema: JSON schema; of text if there is none.
        place: ``header``, ``query`` or ``path``.
        example: How it may look.
    """

    name: str
    meaning: str
    schema: Mapping[str, Any] | None = None
    place: str = "header"
    example: Any = None


NO_FORM = "It was not sent as a form."

RETRY_AFTER = Value(
    "Retry-After", "Seconds to wait before another try.", {"type": "integer", "minimum": 1}
)


@dataclass(frozen=True)
class Answer:
    """One way in which a request may end.

    Attributes:
        meaning: When that is.
        body: Type of the document; None: there is none, or none that is for programs.
        media_type: Of the document.
        headers: That come with it.
        links: Operations by name whose argument ``job_id`` is the document's ``id``.
    """

    meaning: str
    body: Any = None
    media_type: str = "application/json"
    headers: Sequence[Value] = ()
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Description:
    """What a view takes and answers; what it does is in its docstring.

    Attributes:
        answers: By status.
        body: Model of what a client sends.
        values: Headers and arguments that a client may send.
        for_admin: Whether it needs the admin's credentials.
        needs_server: Whether it answers 503 while the server is away.
    """

    answers: Mapping[int, Answer]
    body: type[BaseModel] | None = None
    values: Sequence[Value] = ()
    for_admin: bool = False
    needs_server: bool = True


def described(answers: Mapping[int, Answer | str], **more: Any) -> Callable[[View], View]:
    """Describe the view below.

    The first line of its docstring is what clients read of it. What stands before each view (a
    refusal at the door, a server that is away, a body that cannot be read, wrong credentials)
    need not be said.

    Args:
        answers: By status; words alone stand for a problem document.
        **more: Further fields of ``Description``.
    """
    full = {
        status: problem_answer(answer) if isinstance(answer, str) else answer
        for status, answer in answers.items()
    }

    def mark(view: View) -> View:
        setattr(view, MARK, Description(full, **more))
        return view

    return mark


def problem_answer(meaning: str, headers: Sequence[Value] = ()) -> Answer:
    """Return the description of an answer to a request that is not served."""
    return Answer(meaning, Problem, PROBLEM, headers)
