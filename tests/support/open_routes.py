"""What everybody may ask for, without the admin's password."""

OPEN = {
    ("GET", "/"),
    ("GET", "/api/overview/events"),
    ("GET", "/api/status"),
    ("GET", "/buckets"),
    ("GET", "/buckets/<name>"),
    ("GET", "/docs"),
    ("GET", "/find"),
    ("POST", "/docs/jobs"),
    ("POST", "/jobs"),
    ("GET", "/jobs/<job_id>"),
    ("DELETE", "/jobs/<job_id>"),
    ("GET", "/jobs/<job_id>/events"),
    ("GET", "/jobs/<job_id>/page-events"),
    ("POST", "/jobs/<job_id>/cancel"),
    ("GET", "/livez"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/readyz"),
    ("GET", "/static/<path:filename>"),
    ("GET", "/types"),
}
"""As the documentation says; whoever knows a job's id may see and cancel it."""
