"""``spigot job types``: what can be submitted."""

from typing import Any

import click

from spigot.jobs.types.app_choice import choose_apps
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import JobType
from spigot.runtime.settings import load_settings
from spigot.runtime.terminal import as_json, print_json, print_table

HEAD = ("TYPE", "BUCKET", "TIMEOUT", "RETRIES", "PAYLOAD")


@click.command(name="types", epilog="Example: spigot job types")
@as_json
def list_types(as_json: bool) -> None:
    """List the job types: bucket, timeout, retries and fields of the payload.

    A field in brackets may be left out.
    """
    catalog = JobCatalog.load(choose_apps(load_settings()))
    types = sorted(catalog, key=lambda each: each.name)
    if as_json:
        print_json({"types": [_to_json(each) for each in types]})
    else:
        print_table(HEAD, [_row(each) for each in types], elastic={0, 4})


def _to_json(job_type: JobType) -> dict[str, Any]:
    return {
        "name": job_type.name,
        "bucket": job_type.bucket,
        "timeout": job_type.timeout,
        "retries": job_type.retries.model_dump(),
        "function": job_type.function_name,
        "internal": job_type.internal,
        "payload": job_type.payload_schema,
    }


def _row(job_type: JobType) -> tuple[object, ...]:
    schema = job_type.payload_schema
    return (
        f"{job_type.name} (internal)" if job_type.internal else job_type.name,
        job_type.bucket,
        f"{job_type.timeout} s",
        job_type.retries.retries,
        "anything" if schema is None else _fields(schema),
    )


def _fields(schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    told = (
        (name, f"{name} {_kind(field)}".strip())
        for name, field in schema.get("properties", {}).items()
    )
    return ", ".join(text if name in required else f"[{text}]" for name, text in told) or "none"


def _kind(field: dict[str, Any]) -> str:
    """Return the types of a field, such as ``integer or null``."""
    choices = field.get("anyOf") or [field]
    kinds = [choice.get("type") or choice.get("$ref", "").rpartition("/")[2] for choice in choices]
    return " or ".join(dict.fromkeys(str(kind) for kind in kinds if kind))
