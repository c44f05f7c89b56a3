"""Names that are free."""

from collections.abc import Iterable
from itertools import count

__all__ = ("FreeNames",)

_LONGEST = 100
# What I with and without a dot become in lower case differs between locales.
_TURKISH = str.maketrans("\N{LATIN SMALL LETTER DOTLESS I}", "i", "\N{COMBINING DOT ABOVE}")


class FreeNames:
    """Gives names that nobody has yet among those of one owner, whatever their case."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(map(_folded, taken))

    def take(self, name: str) -> str:
        """The name itself where it is free, else with the first number behind it that makes it so: "Push day (2)"."""
        free = next(candidate for candidate in _candidates(name) if _folded(candidate) not in self._taken)
        self._taken.add(_folded(free))
        return free


def _folded(name: str) -> str:
    """The same for all names that any database holds for one: whether Turkish is spoken there or not."""
    return name.casefold().translate(_TURKISH)


def _candidates(name: str) -> Iterable[str]:
    yield name
    for number in count(2):
        suffix = f" ({number})"
        yield name[: _LONGEST - len(suffix)].rstrip() + suffix
