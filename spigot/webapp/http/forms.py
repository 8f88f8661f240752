"""Which requests are forms, as browsers send them."""

from flask import abort, request

MEDIA_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


def is_form() -> bool:
    """Return whether the present request is a form."""
    return request.mimetype in MEDIA_TYPES


def require_form(instead: str) -> None:
    """Let the present request pass only if it is a form.

    Args:
        instead: The routes that a program is to take.

    Raises:
        HTTPException: It is none (415).
    """
    if not is_form():
        abort(415, f"this is for forms: {instead}")
