"""Runs the console sessions of a page of documentation, and holds what they print against it.

A session is a fenced block of ``console``: lines after ``$`` are commands, the others what they
print. ``…`` stands for anything within a line, a line of only ``…`` for any lines.
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ANYTHING = "…"
SHELL = ("bash", "--noprofile", "--norc", "-s")


@dataclass(frozen=True)
class Step:
    """One command of a page and what the page says it prints."""

    command: str
    printed: str


def steps_of(page: str) -> list[Step]:
    """Read the sessions of a page, in their order."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [step for block in blocks for step in _steps_of_block(block)]


def run_steps(steps: list[Step], *, cwd: Path, env: Mapping[str, str], seconds: float) -> list[str]:
    """Run the commands in one shell, as a reader pastes them; return what each printed."""
    mark = "-- the end of step --"
    script = "".join(f"{step.command}\nprintf '\\n%s\\n' '{mark}'\n" for step in steps)
    shell = subprocess.run(
        SHELL,
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=env,
        timeout=seconds,
        check=False,
    )
    printed = shell.stdout.split(f"\n{mark}\n")
    assert len(printed) == len(steps) + 1, shell.stdout
    return printed[:-1]


def agrees(step: Step, printed: str) -> bool:
    """Return whether a command printed what the page says."""
    pattern = "".join(map(_pattern, step.printed.strip().splitlines()))
    lines = printed.replace("\r\n", "\n").strip().splitlines()
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def check_printed(steps: list[Step], printed: list[str], log: str = "") -> None:
    """Hold what each command printed against the page; a failure shows both, and the log."""
    wrong = [
        f"$ {step.command}\n{text}\n--- but the page says\n{step.printed}"
        for step, text in zip(steps, printed, strict=True)
        if not agrees(step, text)
    ]
    assert not wrong, "\n".join([*wrong, log])


def _steps_of_block(block: str) -> list[Step]:
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert not parts[0].strip(), f"a session begins with a command, not with {parts[0]!r}"
    return [_step(part) for part in parts[1:]]


def _step(part: str) -> Step:
    command = re.match(r"(?:.*\\\n)*.*\n?", part)
    assert command is not None
    return Step(command[0].strip(), part[command.end() :])


def _pattern(line: str) -> str:
    if line.strip() == ANYTHING:
        return r"(?:.*\n)*"
    return ".*".join(re.escape(literal) for literal in line.rstrip().split(ANYTHING)) + r"\n"
