"""Checks of the files: the rules, the buckets, the job types, the result log."""

import os
import shutil
from pathlib import Path

from spigot.jobs.bucket.config import (
    BucketConfig,
    load_bucket_configs,
    with_buckets,
    with_costs,
)
from spigot.jobs.types.app_choice import choose_apps
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.errors import OperatorError
from spigot.runtime.settings import Settings
from spigot.webapp.door.rate_limits.rules_file import read_rules

from .finding import Finding

LOW_DISK_BYTES = 50_000_000
NO_JOB_TYPES = "none: name a module with job types in SPIGOT_APPS, unless all jobs are plain RQ's"


def check_rate_limits(settings: Settings) -> Finding:
    """Check that the rules of the door can be used."""
    try:
        path = settings.rate_limits
        rules = read_rules(path, optional=settings.is_unset("rate_limits"))
    except OperatorError as error:
        return Finding("rate limits", False, str(error), "mend the file; {} is valid")
    return Finding(
        "rate limits", True, f"{_named(path, settings)}: {', '.join(rules.by_name) or 'no rules'}"
    )


def check_job_types(settings: Settings) -> tuple[list[Finding], set[str]]:
    """Check that ``buckets.json`` and the modules in ``SPIGOT_APPS`` can be loaded.

    Returns:
        The findings, and the names of the buckets in use.
    """
    findings: list[Finding] = []
    buckets: set[str] = set()
    configs: dict[str, BucketConfig] = {}
    try:
        configs = load_bucket_configs(settings.buckets, optional=settings.is_unset("buckets"))
        buckets |= configs.keys()
        findings.append(
            Finding("buckets", True, f"{_named(settings.buckets, settings)}: {', '.join(configs)}")
        )
    except OperatorError as error:
        findings.append(Finding("buckets", False, str(error), "mend the file"))
    try:
        catalog = JobCatalog.load(choose_apps(settings))
        buckets |= catalog.bucket_names()
        if configs:
            with_costs(with_buckets(configs, catalog.bucket_names())[0], catalog.costs())
        names = ", ".join(job_type.name for job_type in catalog)
        findings.append(Finding("job types", True, names or NO_JOB_TYPES))
    except OperatorError as error:
        findings.append(Finding("job types", False, str(error), "mend the module or SPIGOT_APPS"))
    return findings, buckets


def _named(path: Path, settings: Settings) -> str:
    return (
        f"{path} (not there: as if it were {{}})" if path in settings.missing_files() else str(path)
    )


def check_result_log(path: Path) -> Finding:
    """Check that lines can be written to the result log; leaves it untouched."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    target = path if path.exists() else folder
    if path.is_dir() or path.is_fifo() or not folder.is_dir() or not os.access(target, os.W_OK):
        return Finding("result log", False, f"{path} cannot be written", "set SPIGOT_RESULT_LOG")
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < LOW_DISK_BYTES:
        detail = f"{path}: {free_bytes // 1_000_000} MB free on its disk"
        return Finding("result log", False, detail, "make room, or set SPIGOT_RESULT_LOG")
    return Finding("result log", True, str(path))
