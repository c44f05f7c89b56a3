"""GPX 1.0 and 1.1: each track is an activity, each of its segments a piece without a pause."""

from typing import Final

from app.domain.imports.activity import MAX_POINTS, Activity, Point, Totals, Unreadable
from app.domain.imports.formats.xml import number_of, read_xml, time_of

__all__ = ("read_gpx",)

_HEART_RATES: Final = frozenset({"hr", "heartrate", "heart_rate"})


class _Tracks:
    """Takes the elements of a GPX file."""

    wanted = frozenset({"time", "ele", "type", *_HEART_RATES})

    def __init__(self) -> None:
        self.is_gpx = False
        self.activities: list[Activity] = []
        self._segment = 0
        self._count = 0
        self._position: tuple[float, float] | None = None
        self._time: float | None = None
        self._altitude: float | None = None
        self._heart_rate: int | None = None
        self._in_point = False

    def begin(self, name: str, parent: str, attributes: dict[str, str]) -> None:
        if name == "trkpt" and parent == "trkseg" and self.activities:
            self._begin_point(attributes)
        elif name == "trkseg":
            self._segment += 1
        elif name == "trk":
            self.activities.append(Activity("", [], Totals()))
        elif name == "gpx":
            self.is_gpx = True

    def end(self, name: str, parent: str, text: str) -> None:
        if self._in_point:
            self._end_in_point(name, parent, text)
        elif name == "type" and parent == "trk":
            self.activities[-1].sport = text.lower()

    def _begin_point(self, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_POINTS:
            raise Unreadable(f"It has more than {MAX_POINTS:,} points.")
        latitude, longitude = number_of(attributes.get("lat")), number_of(attributes.get("lon"))
        is_place = latitude is not None and longitude is not None and abs(latitude) <= 90 and abs(longitude) <= 180
        self._position = (latitude, longitude) if is_place else None  # type: ignore[assignment]  # looked at above
        self._time = self._altitude = self._heart_rate = None
        self._in_point = True

    def _end_in_point(self, name: str, parent: str, text: str) -> None:
        if name == "time" and parent == "trkpt":
            self._time = time_of(text)
        elif name == "ele" and parent == "trkpt":
            self._altitude = number_of(text)
        elif name in _HEART_RATES:
            rate = number_of(text)
            self._heart_rate = None if rate is None else round(rate)
        elif name == "trkpt":
            self._end_point()

    def _end_point(self) -> None:
        self._in_point = False
        activity = self.activities[-1]
        if self._time is None:
            activity.untimed += 1
            return
        latitude, longitude = self._position or (None, None)
        activity.points.append(
            Point(self._time, self._segment, latitude, longitude, self._altitude, None, self._heart_rate)
        )


def read_gpx(content: bytes) -> list[Activity]:
    """The tracks of a file.

    Raises:
        Unreadable: it is no GPX, or has no track.
    """
    tracks = _Tracks()
    read_xml(content, tracks)
    if not tracks.is_gpx:
        raise Unreadable("It is XML, but not GPX.")
    if not tracks.activities:
        raise Unreadable("It has no track.")
    return tracks.activities
