"""Titles of schemas: no two are the same to a program that makes names of classes of them."""

from itertools import chain, count


class Titles:
    """Gives out titles.

    Such programs drop an operation whose schemas have one name. Neither case, nor what is no letter
    or digit, tells names apart.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, *wishes: str) -> str:
        """Return the first of the wishes that is free, or the last with a number."""
        numbered = (f"{wishes[-1]} {number}" for number in count(2))
        return next(filter(self._is_free, chain(wishes, numbered)))

    def _is_free(self, title: str) -> bool:
        """Return whether nobody has it, and take it then."""
        name = "".join(filter(str.isalnum, title)).lower()
        if name in self._taken:
            return False
        self._taken.add(name)
        return True
