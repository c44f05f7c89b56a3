"""Files as watches write them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from tests.imports.files import fit, gpx, tcx

__all__ = ("KINDS", "recorded")

KINDS: Final[Mapping[str, Callable[..., bytes]]] = {"gpx": gpx, "tcx": tcx, "fit": fit}

_POINTS: Final = 301
_EVERY: Final = 6
"""Seconds between two points."""


def recorded(kind: str, start: datetime) -> bytes:
    """A run of half an hour, 3 metres a second."""
    metres = [place * _EVERY * 3.0 for place in range(_POINTS)]
    return KINDS[kind](metres, _EVERY, start)
