"""Numbers that commands take."""

import click


class WholeNumber(click.IntRange):
    """A number within bounds, which click would call an *integer range*."""

    name = "integer"
