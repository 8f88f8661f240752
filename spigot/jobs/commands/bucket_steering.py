"""``spigot bucket rate``, ``pause``, ``reset`` …: what counts from the next leak on, fleet-wide."""

import socket
from collections.abc import Callable

import click
from redis import Redis

from spigot.jobs.bucket.configuring import Change, describe_change
from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.budgets.budget_change import BudgetChange
from spigot.jobs.budgets.limit import Limit
from spigot.jobs.job.completions import bucket_names
from spigot.runtime.rate import Rate
from spigot.runtime.terminal import as_json, print_json
from spigot.runtime.user_name import user_name
from spigot.runtime.whole_number import WholeNumber

from .parameters import to_budget_limit, to_limit, to_rate
from .server import connect_to_server


@click.command(epilog='Example: spigot bucket rate openai "60/m burst 3"')
@click.argument("name", shell_complete=bucket_names)
@click.argument("rate", callback=to_rate)
@as_json
def rate(name: str, rate: Rate, as_json: bool) -> None:
    """Let jobs of the bucket NAME start at RATE."""
    steer(name, lambda control: control.set(name, BucketChange(rate=rate)), as_json)


@click.command(epilog="Example: spigot bucket capacity openai 500")
@click.argument("name", shell_complete=bucket_names)
@click.argument("number", type=WholeNumber(min=1))
@as_json
def capacity(name: str, number: int, as_json: bool) -> None:
    """Let NUMBER jobs wait in the bucket NAME; more are refused."""
    steer(name, lambda control: control.set(name, BucketChange(capacity=number)), as_json)


@click.command(epilog="Example: spigot bucket max-running openai 4")
@click.argument("name", shell_complete=bucket_names)
@click.argument("number", callback=to_limit)
@as_json
def max_running(name: str, number: int | None, as_json: bool) -> None:
    """Let NUMBER jobs of the bucket NAME run at once; none: any number."""
    steer(name, lambda control: control.set(name, BucketChange(max_running=number)), as_json)


@click.command(epilog="Example: spigot bucket budget openai tokens 120000/m --burst 12000")
@click.argument("name", shell_complete=bucket_names)
@click.argument("budget")
@click.argument("limit", callback=to_budget_limit)
@click.option("--burst", type=WholeNumber(min=1), help="What may be spent at once.")
@as_json
def budget(name: str, budget: str, limit: Limit, burst: int | None, as_json: bool) -> None:
    """Let jobs of the bucket NAME spend LIMIT of its BUDGET, such as 120000/m."""
    change = BucketChange(budgets={budget: BudgetChange(limit=limit, burst=burst)})
    steer(name, lambda control: control.set(name, change), as_json)


@click.command(epilog="Example: spigot bucket pause openai")
@click.argument("name", shell_complete=bucket_names)
@as_json
def pause(name: str, as_json: bool) -> None:
    """Let no job leave the bucket NAME; new ones are taken in."""
    steer(name, lambda control: control.set(name, BucketChange(paused=True)), as_json)


@click.command(epilog="Example: spigot bucket resume openai")
@click.argument("name", shell_complete=bucket_names)
@as_json
def resume(name: str, as_json: bool) -> None:
    """End a pause or a drain of the bucket NAME."""
    change = BucketChange(paused=False, draining=False)
    steer(name, lambda control: control.set(name, change), as_json)
    bucket = BucketReader(connect_to_server()).read(name)
    if bucket is not None and bucket.held_until and not as_json:
        click.echo(
            f"{name}: still held until {bucket.held_until} ({bucket.hold_reason}); "
            f"`spigot bucket release {name}` ends that"
        )


@click.command(epilog="Example: spigot bucket release openai")
@click.argument("name", shell_complete=bucket_names)
@as_json
def release(name: str, as_json: bool) -> None:
    """End a hold of the bucket NAME: its downstream is asked at once."""
    redis = connect_to_server()
    until = control_of(redis).release(name)
    if not as_json:
        click.echo(f"{name}: {f'held until {until}, released' if until else 'was not held'}")
        return
    print_json(BucketReader(redis).get(name).to_json())


@click.command(epilog="Example: spigot bucket reset openai")
@click.argument("name", shell_complete=bucket_names)
@as_json
def reset(name: str, as_json: bool) -> None:
    """Take back all that was set by command or HTTP: buckets.json counts again."""
    steer(name, lambda control: control.reset(name), as_json)


def steer(name: str, change: Callable[[BucketControl], list[Change]], as_json: bool) -> None:
    """Change a bucket in the name of whoever gives the command, and say what changed."""
    redis = connect_to_server()
    changes = change(control_of(redis))
    if not as_json:
        click.echo(f"{name}: {', '.join(map(describe_change, changes)) or 'nothing to change'}")
        return
    print_json(BucketReader(redis).get(name).to_json())


def control_of(redis: Redis) -> BucketControl:
    """Return what changes buckets in the name of whoever gives the command."""
    return BucketControl(redis, f"{user_name()}@{socket.gethostname()}")
