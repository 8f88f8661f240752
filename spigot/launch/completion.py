"""The command ``spigot completion``."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_SPIGOT_COMPLETE"
"""Where the shell's function tells click that it asks: click's own name for it."""


@click.command(epilog="Example: spigot completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands, and names of buckets, job types and jobs."""
    made_for = get_completion_class(shell)
    if made_for is None:
        raise click.ClickException(f"this click knows no completion for {shell}")
    root = context.find_root().command
    click.echo(made_for(root, {}, "spigot", VARIABLE).source())
