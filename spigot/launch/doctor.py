"""The command ``spigot doctor``."""

import json
import sys
from dataclasses import asdict

import click

from spigot.runtime.command_group import HELP_OPTIONS
from spigot.runtime.settings import Settings, load_settings
from spigot.runtime.terminal import State, as_json, print_table

from .exposure_check import check_exposure
from .file_checks import check_job_types, check_rate_limits, check_result_log
from .finding import Finding
from .server_checks import check_servers


@click.command(epilog="Example: spigot doctor --json", context_settings=HELP_OPTIONS)
@as_json
def doctor(as_json: bool) -> None:
    """Check server, files, workers and result log, and say what to mend.

    Exits with status 1 if something is not as it should be.
    """
    findings = examine(load_settings())
    ok = all(finding.ok for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": ok, "checks": [asdict(finding) for finding in findings]}))
    else:
        print_table((), [row for finding in findings for row in _rows(finding)], elastic={1})
    sys.exit(0 if ok else 1)


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; at what is on the server only if that answers."""
    findings, buckets = check_job_types(settings)
    return [
        check_rate_limits(settings),
        *findings,
        check_result_log(settings.result_log_path),
        check_exposure(settings),
        *check_servers(settings, buckets),
    ]


def _rows(finding: Finding) -> list[tuple[str, str]]:
    found = (State("ok   " if finding.ok else "WRONG"), f"{finding.check}: {finding.detail}")
    return [found] if finding.ok else [found, ("", finding.mend)]
