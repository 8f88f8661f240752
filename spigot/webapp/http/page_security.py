"""The headers that keep what this server sends from being turned against whoever reads it.

Source: Content Security Policy Level 3 (W3C); the OWASP cheat sheet on HTTP headers.
"""

from flask import Flask, Response

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}

HEADERS = {
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def init_app(app: Flask) -> None:
    """Keep browsers from guessing that a job's result is a page; called by ``create_app``."""
    app.after_request(_forbid_guessing)


def secure_page(response: Response, **sources: str) -> Response:
    """Let a page load only what this server sends as a file, and keep it out of others' frames.

    Args:
        response: Of any kind; the headers harm none.
        **sources: What a directive allows besides, such as ``style_src="'unsafe-inline'"``.
    """
    policy = POLICY.copy()
    for name, allowed in sources.items():
        policy[name.replace("_", "-")] += f" {allowed}"
    response.headers["Content-Security-Policy"] = "; ".join(map(" ".join, policy.items()))
    response.headers.update(HEADERS)
    return response


def _forbid_guessing(response: Response) -> Response:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
