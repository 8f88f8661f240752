"""A group of commands whose help tells each of them in a whole sentence."""

from typing import Any

import click

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
"""How commands are asked for help; a group hands it on to all below it."""

WHOLE = 10_000
"""Characters of a summary: click would cut what does not fit on a line."""


class CommandGroup(click.Group):
    """A group as all of Spigot's are.

    Args:
        **options: Of ``click.Group``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("context_settings", HELP_OPTIONS)
        super().__init__(*arguments, **options)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands below ``Commands:``, whole summaries folded in their column."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [
            (name, command.get_short_help_str(WHOLE))
            for name, command in commands.items()
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
