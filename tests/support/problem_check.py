"""What every answer to a request that was not served has in common."""

from werkzeug.test import TestResponse


def is_problem(response: TestResponse, status: int) -> bool:
    """Fail with the answer unless it is a problem document of that status."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json", response.text
    assert response.json is not None
    assert response.json["status"] == status
    assert all(response.json[member] for member in ("type", "title", "detail"))
    return True
