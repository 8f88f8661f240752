"""What commands take besides text and numbers; each is a ``callback`` of a click parameter."""

import click

from spigot.jobs.budgets.limit import Limit
from spigot.runtime.rate import Rate
from spigot.runtime.whole_number import WholeNumber


def to_rate(context: click.Context, parameter: click.Parameter, value: str) -> Rate:
    """Read a rate such as ``60/m burst 3``.

    Raises:
        click.BadParameter: It is none; the message says how to write one.
    """
    try:
        return Rate.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def to_limit(context: click.Context, parameter: click.Parameter, value: str) -> int | None:
    """Read a number of at least 1; None for ``none``.

    Raises:
        click.BadParameter: It is neither.
    """
    if value == "none":
        return None
    number: int = WholeNumber(min=1)(value, parameter, context)
    return number


def to_budget_limit(context: click.Context, parameter: click.Parameter, value: str) -> Limit:
    """Read a budget's limit such as ``90000/m``.

    Raises:
        click.BadParameter: It is none; the message says how to write one.
    """
    try:
        return Limit.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
