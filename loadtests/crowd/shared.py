"""The links that people have sent to each other during this run."""

from collections import deque
from typing import Final

__all__ = ("CALENDARS", "TEMPLATES")

_MOST: Final = 1000

TEMPLATES: Final[deque[str]] = deque(maxlen=_MOST)
"""Paths of units and plans that anybody may read."""
CALENDARS: Final[deque[str]] = deque(maxlen=_MOST)
"""Paths of calendars of running plans."""
