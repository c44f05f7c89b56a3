"""What a worker remembers of the catalogue, until it hears that an administrator has changed something."""

from collections.abc import Hashable
from time import monotonic
from typing import Any, Final
from uuid import UUID

from app.security.broadcast import Broadcast
from app.security.invalidations import EVERYTHING, Topics

__all__ = ("CATALOGUE_CHANGED", "CatalogueMemory")

CATALOGUE_CHANGED: Final = UUID(int=2)
"""A topic: a reference list or an exercise of the system is not what it was."""

_MAX_AGE: Final = 60.0
"""Seconds after which a change that nobody announced, made in the database by hand, is seen."""

_MAX_ENTRIES: Final = 20_000


class CatalogueMemory:
    """Reference lists and exercises of the system, as they were read last.

    Everything is forgotten at the first news: the catalogue changes now and then, and an exercise shows
    names from other tables. While it is not sure that news from other machines arrive, nothing is remembered.

    Attributes:
        moment: another number after each piece of news; to be looked at before something is loaded.
    """

    def __init__(self, broadcast: Broadcast) -> None:
        self.moment = 0
        self._broadcast = broadcast
        self._entries: dict[Hashable, Any] = {}
        self._forget_at = 0.0
        broadcast.listen(self._hear)

    def recall(self, key: Hashable) -> Any:
        """What is remembered under a key; None when it has to be loaded."""
        self._broadcast.catch_up()
        if monotonic() >= self._forget_at:
            self._forget()
        return self._entries.get(key) if self._broadcast.sure else None

    def remember(self, key: Hashable, loaded: object, moment: int) -> None:
        """Keep what was loaded, unless news came meanwhile: it may have been read before the change.

        Args:
            moment: what the attribute said before it was loaded.
        """
        self._broadcast.catch_up()
        if moment == self.moment and self._broadcast.sure and len(self._entries) < _MAX_ENTRIES:
            self._entries[key] = loaded

    def _hear(self, topics: Topics) -> None:
        if topics is EVERYTHING or CATALOGUE_CHANGED in topics:
            self._forget()

    def _forget(self) -> None:
        self._entries.clear()
        self.moment += 1
        self._forget_at = monotonic() + _MAX_AGE
