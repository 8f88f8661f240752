"""The command ``spigot``: gathers the commands of all packages."""

import errno
import os
import re
import sys
from typing import Any

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] == os.getcwd():
    del sys.path[0]  # `python -m` looks there first, and would take a user's click.py for click

import click
from click.exceptions import NoArgsIsHelpError

from spigot.launch.lazy_group import LazyGroup
from spigot.runtime.errors import OperatorError
from spigot.runtime.terminal import printable

COMMANDS = {
    # name: (where it is, what `spigot --help` says of it)
    "bucket": ("spigot.jobs.commands:bucket", "Show and steer buckets; check buckets.json."),
    "completion": (
        "spigot.launch.completion:completion",
        "Make a shell complete commands and names.",
    ),
    "doctor": ("spigot.launch.doctor:doctor", "Check server, files, workers and log."),
    "job": (
        "spigot.jobs.commands:job",
        "Submit, show, list, cancel, requeue jobs; list their types.",
    ),
    "limits": ("spigot.webapp.door.commands:limits", "Show rate limits; ban and reset clients."),
    "new": ("spigot.launch.new:new", "Make an application to start from."),
    "open": ("spigot.launch.open:open_page", "Open the overview, logged in."),
    "top": ("spigot.launch.top:top", "Watch the buckets as they change; pause, resume, release."),
    "up": ("spigot.launch.up:up", "Run everything on this machine."),
    "web": ("spigot.webapp.gunicorn.commands:web", "Serve the API."),
    "worker": ("spigot.worker.commands:worker", "Run jobs, each bucket at its rate."),
}


UNIX_ONLY = frozenset({"up", "web", "worker"})
PLATFORM = sys.platform


class WindowsError(OperatorError):
    """The command needs processes as Unix has them."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"`spigot {name}` does not run on Windows: use WSL (learn.microsoft.com/windows/wsl); "
            "enqueueing and the door work here"
        )


class UsageLine(click.ClickException):
    """A wrong use of a command, told in one line as every failure is."""

    exit_code = click.UsageError.exit_code

    def __init__(self, error: click.UsageError) -> None:
        asked = error.ctx.command_path if error.ctx else "spigot"
        said = re.sub(r"\s*\n\s*", " ", error.format_message())
        if isinstance(error, click.NoSuchOption) and re.match(r"-\d", error.option_name):
            said = f"{error.option_name}: no number here may be negative."
        super().__init__(f"{printable(said)} (see `{asked} --help`)")


class FailureLine(click.ClickException):
    """A failure of a command; what a stranger wrote into it does not steer the terminal."""

    def __init__(self, error: click.ClickException) -> None:
        super().__init__(printable(error.format_message()))


class RootGroup(LazyGroup):
    """The root command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command to run, if this platform can run it."""
        if PLATFORM == "win32" and args[0] in UNIX_ONLY:
            raise WindowsError(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise UsageLine(error) from error
        except click.ClickException as error:
            raise FailureLine(error) from error


@click.group(cls=RootGroup, lazy_commands=COMMANDS, epilog="Example: spigot up --port 9000")
@click.version_option(package_name="spigot-jobs", message="spigot %(version)s")
def cli() -> None:
    """A rate-aware job system: fair at the door, steady at the tap, nothing lost."""


def main() -> None:
    """Run the command line; what the user can put right is told in one line."""
    try:
        cli(prog_name="spigot")
    except OperatorError as error:
        _exit_with(str(error))
    except Exception as error:
        fault = _fault_of_machine(error) or _fault_of_server(error)
        if fault is None:
            raise
        _exit_with(fault)


NOT_WRITTEN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


def _fault_of_machine(error: Exception) -> str | None:
    if not isinstance(error, OSError):
        return None
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the current folder is not there any more: change to another one"
    if error.filename is not None or error.errno not in NOT_WRITTEN:
        return None
    _drop_output()
    return f"the output cannot be written: {error.strerror}"


def _drop_output() -> None:
    """Let go of what is not written yet: Python would try again when it ends, and complain.

    Source: the documentation of Python's module ``signal``, "Note on SIGPIPE".
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _fault_of_server(error: Exception) -> str | None:
    from redis.exceptions import RedisError  # only now: a command may do without redis

    from spigot.runtime.server.server_faults import explain

    return f"the server {explain(error)}" if isinstance(error, RedisError) else None


def _exit_with(message: str) -> None:
    click.ClickException(message).show()
    sys.exit(1)


if __name__ == "__main__":
    main()
