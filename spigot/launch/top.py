"""The command ``spigot top``: the buckets in the terminal, as they change."""

import os
import select
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from redis import Redis, RedisError

from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.jobs.overview.reading import BucketView, OverviewReader
from spigot.jobs.overview.verdict import judge
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_faults import explain
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.settings import load_settings
from spigot.runtime.terminal import as_json, print_json
from spigot.runtime.user_name import user_name

from .top_screen import screen

PERIOD_SECONDS = 1.0
REPLY_SECONDS = 3.0
MESSAGE_SECONDS = 5.0
OWN_SCREEN, OLD_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, REST_OF_LINE, REST = "\x1b[H", "\x1b[K", "\x1b[J"
ARROWS = {"\x1b[A": "k", "\x1b[B": "j"}


@click.command(epilog="Example: spigot top")
@click.option("--once", is_flag=True, help="Print one picture and end.")
@as_json
def top(once: bool, as_json: bool) -> None:
    """Watch the buckets: starts and waiting jobs of 30 minutes, and why each is as it is.

    Up and down choose a bucket; p pauses it, r resumes it, l releases it from a hold, q quits.
    Without a terminal, one picture is printed; with --json, the same as data.
    """
    settings = load_settings()
    redis = connect(find_server_url(settings), timeout=REPLY_SECONDS)
    if as_json:
        views = _sorted(OverviewReader(redis, settings.keep_seconds).read_all())
        print_json({"buckets": [_to_json(view) for view in views]})
        return
    view = TopView(redis, settings.keep_seconds)
    if once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo(view.text(takes_keys=False))
        return
    with _own_screen():
        _watch(view)


def _sorted(views: list[BucketView]) -> list[BucketView]:
    """Return the buckets, the first the one that needs somebody most."""
    return sorted(views, key=lambda view: (judge(view).rank, view.state.name))


def _to_json(view: BucketView) -> dict[str, Any]:
    verdict = judge(view)
    return {
        **view.state.to_json(),
        "state": [badge.word for badge in verdict.badges],
        "why": verdict.why(is_admin=True),
        "pace": verdict.pace,
        "failed": view.failed,
        "refused": view.refused,
    }


class TopView:
    """What is shown, and what keys do.

    Args:
        redis: Connection to the server of the queue side.
        keep_seconds: How long ended jobs are kept.
    """

    def __init__(self, redis: Redis, keep_seconds: int) -> None:
        self._reader = OverviewReader(redis, keep_seconds)
        self._control = BucketControl(redis, f"{user_name()} by spigot top")
        self._views: list[BucketView] = []
        self._chosen = ""
        self._message = ""
        self._message_until = 0.0

    def text(self, *, takes_keys: bool = True) -> str:
        """Read the buckets and return the screen; while the server is away, the last with a note.

        Args:
            takes_keys: Whether a bucket is chosen, and the keys are told.

        Raises:
            redis.RedisError: The server did not answer the first time.
        """
        try:
            self._views = _sorted(self._reader.read_all())
        except RedisError as error:
            if not self._views:
                raise
            self._say(f"not up to date: the server {explain(error)}")
        if time.monotonic() > self._message_until:
            self._message = ""
        size = shutil.get_terminal_size()
        chosen = self._index() if takes_keys else None
        return screen(self._views, chosen, size.columns, size.lines, self._message)

    def press(self, key: str) -> bool:
        """Do what a key says; return whether to go on."""
        if key == "q":
            return False
        if not self._views:
            return True
        if key in "jk":
            index = (self._index() + (1 if key == "j" else -1)) % len(self._views)
            self._chosen = self._views[index].state.name
        elif key in "prl":
            try:
                self._act(key, self._views[self._index()].state.name)
            except RedisError as error:
                self._say(f"it is unknown whether it was done: the server {explain(error)}")
        return True

    def _act(self, key: str, name: str) -> None:
        self._chosen = name
        if key == "l":
            held = self._control.release(name)
            self._say(f"{name}: released" if held else f"{name} was not held")
            return
        wanted = BucketChange(paused=key == "p")
        if key == "r":
            wanted = BucketChange(paused=False, draining=False)
        changed = self._control.set(name, wanted)
        done = "paused: r resumes it" if key == "p" else "resumed"
        self._say(f"{name}: {done}" if changed else f"{name}: nothing to change")

    def _index(self) -> int:
        names = [view.state.name for view in self._views]
        return names.index(self._chosen) if self._chosen in names else 0

    def _say(self, message: str) -> None:
        self._message, self._message_until = message, time.monotonic() + MESSAGE_SECONDS


def _watch(view: TopView) -> None:
    while True:
        lines = view.text().split("\n")
        click.echo(HOME + "".join(f"{line}{REST_OF_LINE}\n" for line in lines) + REST, nl=False)
        until = time.monotonic() + PERIOD_SECONDS
        while (left := until - time.monotonic()) > 0:
            key = _key_within(left)
            if key and not view.press(key):
                return
            if key:
                break


def _key_within(seconds: float) -> str:
    """Return the key that is pressed; "" for none."""
    if not select.select([sys.stdin], [], [], seconds)[0]:
        return ""
    pressed = os.read(sys.stdin.fileno(), 16).decode(errors="replace")
    return "q" if not pressed else ARROWS.get(pressed, pressed[:1])


@contextmanager
def _own_screen() -> Iterator[None]:
    """Let keys come one by one, on a screen that leaves the old one as it was."""
    import termios  # not on Windows, where nothing else of this module is lacking
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        click.echo(OWN_SCREEN, nl=False)
        yield
    except KeyboardInterrupt:
        pass
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        click.echo(OLD_SCREEN, nl=False)
