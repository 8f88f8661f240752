"""``spigot bucket``: what waits, and how fast it leaks."""

from pathlib import Path
from typing import Any

import click

from spigot.jobs.bucket.config import load_bucket_configs
from spigot.jobs.bucket.configuring import (
    BucketHistory,
    Change,
    describe_change,
)
from spigot.jobs.bucket.state import BucketReader, BucketState
from spigot.jobs.job.completions import bucket_names
from spigot.runtime.command_group import CommandGroup
from spigot.runtime.count_text import count_text
from spigot.runtime.terminal import (
    State,
    as_json,
    cell,
    from_now,
    print_fields,
    print_json,
    print_table,
)

from .server import connect_to_server

HEAD = (
    "BUCKET",
    "RATE",
    "WAITING",
    "CAPACITY",
    "DELAYED",
    "RUNNING",
    "WORKERS",
    "AT ONCE",
    "STATE",
)

SOURCES = {
    "operator": "set by an operator",
    "file": "buckets.json",
    "default": "default: buckets.json is silent",
}
SWITCHES = {"paused", "draining"}
SHOWN_CHANGES = 10


@click.group(cls=CommandGroup, epilog="Example: spigot bucket list")
def bucket() -> None:
    """See what waits in the buckets and how fast they leak, and change that."""


@bucket.command(name="list", epilog="Example: spigot bucket list")
@as_json
def list_buckets(as_json: bool) -> None:
    """List all buckets."""
    buckets = BucketReader(connect_to_server()).read_all()
    if as_json:
        print_json({"buckets": [bucket.to_json() for bucket in buckets]})
    else:
        print_table(HEAD, [_row(bucket) for bucket in buckets], elastic={1, len(HEAD) - 1})


@bucket.command(epilog="Example: spigot bucket show default --json")
@click.argument("name", shell_complete=bucket_names)
@as_json
def show(name: str, as_json: bool) -> None:
    """Show the bucket NAME: what is in it, and who set its numbers when."""
    redis = connect_to_server()
    found = BucketReader(redis).get(name)
    changes = BucketHistory(redis).read(name)
    if as_json:
        print_json({**found.to_json(), "changes": changes})
    else:
        print_fields(_with_sources(found))
        _print_changes(changes)


@bucket.command(epilog="Example: spigot bucket check buckets.json")
@click.argument("file", type=click.Path(path_type=Path))
@as_json
def check(file: Path, as_json: bool) -> None:
    """Check that the buckets of FILE can be used."""
    names = list(load_bucket_configs(file))
    if as_json:
        print_json({"file": str(file), "buckets": names})
    else:
        buckets = count_text(len(names), "bucket")
        click.echo(f"{file}: {buckets} can be used: {', '.join(names)}")


def _with_sources(found: BucketState) -> dict[str, Any]:
    state = {"name": found.name, "state": State(_state_of(found))}
    fields = state | found.to_json()
    budgets = fields.pop("budgets")
    sources = fields.pop("sources")
    for name, budget in budgets.items():
        source = SOURCES[sources["budgets"]] if sources["budgets"] == "operator" else ""
        fields[f"budget {name}"] = f"{_budget_in_words(budget)}{f'  ({source})' if source else ''}"
    for name, source in sources.items():
        if name == "budgets":
            continue
        if source == "operator" or name not in SWITCHES:
            fields[name] = f"{cell(fields[name])}  ({SOURCES[source]})"
    return fields


def _budget_in_words(budget: dict[str, Any]) -> str:
    window = f" in a window of {budget['window']}" if budget["window"] else ""
    when = "at the start" if budget["counted"] == "at_start" else "at an unknown moment"
    return (
        f"{budget['limit']}{window}, counted {when}: {budget['level']:,.0f} spent and "
        f"{budget['held']:,.0f} held of a burst of {budget['burst']:,.0f}"
        f"{_usable_in_words(budget)}"
    )


def _usable_in_words(budget: dict[str, Any]) -> str:
    share, burst = budget["usable_share"], budget["burst_wanted"]
    if share is None:
        return ""
    wanted = f"; a burst of {burst:,} would give 97 %" if burst else ""
    return f"; jobs as of late can use {share:.0%} of the limit{wanted}"


def _print_changes(changes: list[dict[str, Any]]) -> None:
    for record in changes[:SHOWN_CHANGES]:
        changed = [Change(field, *pair) for field, pair in record["changes"].items()]
        made = ", ".join(map(describe_change, changed))
        click.echo(cell(f"{record['at']}  {record['by']}: {made}"))


def _row(bucket: BucketState) -> tuple[object, ...]:
    return (
        bucket.name,
        bucket.rate,
        bucket.waiting,
        bucket.capacity,
        bucket.delayed,
        bucket.running,
        bucket.workers,
        bucket.concurrency,
        State(_state_of(bucket)),
    )


def _state_of(bucket: BucketState) -> str:
    cause, is_full = _cause_of(bucket), bucket.waiting >= bucket.capacity
    if cause and is_full:
        return f"{cause}; full"
    return cause or ("full" if is_full else "open")


def _cause_of(bucket: BucketState) -> str:
    """Return why the bucket lets no job out, or none in; "" if nothing stops it."""
    if bucket.lacks_worker:
        return "no worker"
    if bucket.paused:
        return "paused"
    if bucket.hold_kind:
        return _hold_of(bucket)
    return "draining" if bucket.draining else ""


def _hold_of(bucket: BucketState) -> str:
    spent = "quota spent: " if bucket.hold_kind == "quota" else ""
    if bucket.held_until:
        return f"{spent}held, goes on {from_now(bucket.held_until)}"
    return f"{spent}asks with one job at a time"
