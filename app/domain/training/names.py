"""Names that are free."""

from collections.abc import Iterable
from itertools import count

__all__ = ("FreeNames",)

_LONGEST = 100


class FreeNames:
    """Gives names that nobody has yet among those of one owner, whatever their case."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {name.casefold() for name in taken}

    def take(self, name: str) -> str:
        """The name itself where it is free, else with the first number behind it that makes it so: "Push day (2)"."""
        free = next(candidate for candidate in _candidates(name) if candidate.casefold() not in self._taken)
        self._taken.add(free.casefold())
        return free


def _candidates(name: str) -> Iterable[str]:
    yield name
    for number in count(2):
        suffix = f" ({number})"
        yield name[: _LONGEST - len(suffix)].rstrip() + suffix
