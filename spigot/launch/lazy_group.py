"""A group of commands that imports only the one it runs."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from spigot.runtime.command_group import CommandGroup


class LazyGroup(CommandGroup):
    """Knows its commands by name and one line of help; that is all ``--help`` needs.

    Args:
        lazy_commands: By name: ``module:attribute`` of the command, and its line of help.
        **options: Of ``CommandGroup``.
    """

    def __init__(self, *, lazy_commands: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(**options)
        self._places = {name: place for name, (place, _) in lazy_commands.items()}
        for name, (_, short_help) in lazy_commands.items():
            self.add_command(click.Command(name, short_help=short_help))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command to run, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load_command(self._places[command.name or ""]), rest


def load_command(place: str) -> click.Command:
    """Import the command at ``place``, such as ``spigot.worker.commands:worker``."""
    module, _, attribute = place.partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command
