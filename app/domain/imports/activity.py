"""What every file format is read into. This module and the formats run in a process of their own, and load little."""

from typing import Final

from msgspec import Struct

__all__ = ("MAX_POINTS", "Activity", "Point", "Totals", "Unreadable", "is_running")

MAX_POINTS: Final = 500_000
"""Points of one file: five days, one each second."""

_RUNNING: Final = ("run", "jog", "treadmill", "trail")
_UNSAID: Final = frozenset({"", "9", "default", "generic", "unknown", "uncategorized"})
"""Sports that say nothing, and the number by which Strava names running in its GPX files."""


class Unreadable(Exception):
    """A file, or an activity in it, that no run can be made of. The message is a sentence for the runner."""


class Point(Struct, gc=False):
    """A moment of an activity.

    Attributes:
        time: Unix seconds.
        segment: grows by one wherever the recording was paused.
        latitude: degrees, with longitude or not at all.
        altitude: metres.
        distance: metres since the start, as the device has measured them.
        heart_rate: beats a minute.
    """

    time: float
    segment: int = 0
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    distance: float | None = None
    heart_rate: int | None = None


class Totals(Struct):
    """What a file says of a whole activity; used only where it has no points to tell more.

    Attributes:
        started: Unix seconds.
        elapsed: seconds from start to end.
        moving: seconds on the device's own timer.
        distance: metres.
        ascent: metres.
        heart_rate: the mean, beats a minute.
    """

    started: float | None = None
    elapsed: float | None = None
    moving: float | None = None
    distance: float | None = None
    ascent: float | None = None
    heart_rate: int | None = None


class Activity(Struct):
    """An activity as its file has it, in whatever order.

    Attributes:
        sport: as the file names it, lower-case; empty where it says nothing.
        untimed: points that were left out because they have no time.
    """

    sport: str
    points: list[Point]
    totals: Totals
    untimed: int = 0


def is_running(sport: str) -> bool:
    """Whether a sport is running, or is not said: who brings such a file here means a run."""
    return sport in _UNSAID or any(word in sport for word in _RUNNING)
