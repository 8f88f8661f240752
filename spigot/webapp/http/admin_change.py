"""What every change with the admin's rights must pass."""

import hmac

from flask import abort, current_app, request

from .admin import admin_proof, require_admin
from .forms import is_form
from .problem_types import ProblemType
from .problems import problem

TOKEN_FIELD = "form_token"


def require_admin_change() -> None:
    """Let the present request pass only if the admin may change something with it.

    A form must carry the token of its session; what a program sends with its password need not.

    Raises:
        HTTPException: As ``require_admin``; or 403: all is read-only here, or the form was not
            made for this session.
    """
    require_admin()
    if is_readonly():
        told = "nothing is changed here: this Spigot is read-only (SPIGOT_READONLY=1)"
        abort(problem(403, told, type=ProblemType.READ_ONLY))
    if is_form() and not _token_fits():
        abort(403, "this form was made for another session: load the page again")


def is_readonly() -> bool:
    """Return whether the admin's changes are taken away."""
    return bool(current_app.extensions["readonly"])


def form_token() -> str:
    """Return what a form of the present request's admin is to carry; "" for a stranger."""
    proof = admin_proof(request)
    return proof.binding if proof else ""


def _token_fits() -> bool:
    return hmac.compare_digest(request.form.get(TOKEN_FIELD, "").encode(), form_token().encode())
