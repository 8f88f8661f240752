"""What a check of ``spigot doctor`` found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: What was looked at.
        ok: Whether it is as it should be.
        detail: What was found.
        mend: What to do if it is not.
    """

    check: str
    ok: bool
    detail: str
    mend: str = ""
