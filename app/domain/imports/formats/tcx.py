"""Garmin's Training Center XML: each Activity is one; a lap may have several tracks, with pauses between them."""

from typing import Final

from app.domain.imports.activity import MAX_POINTS, Activity, Point, Totals, Unreadable
from app.domain.imports.formats.xml import number_of, read_xml, time_of

__all__ = ("read_tcx",)

_SUMS: Final = {"TotalTimeSeconds": "moving", "DistanceMeters": "distance"}


class _Activities:
    """Takes the elements of a TCX file."""

    wanted = frozenset(
        {
            "Id",
            "Time",
            "LatitudeDegrees",
            "LongitudeDegrees",
            "AltitudeMeters",
            "DistanceMeters",
            "TotalTimeSeconds",
            "Value",
        }
    )

    def __init__(self) -> None:
        self.is_tcx = False
        self.activities: list[Activity] = []
        self._in_activity = False
        self._tracks_of_lap = 0
        self._segment = 0
        self._count = 0
        self._values: dict[str, str] | None = None

    def begin(self, name: str, parent: str, attributes: dict[str, str]) -> None:
        if name == "Trackpoint":
            self._begin_point()
        elif name == "Track":
            self._tracks_of_lap += 1
            # The first of a lap goes on where the lap before has ended.
            self._segment += self._tracks_of_lap > 1
        elif name == "Lap":
            self._tracks_of_lap = 0
        elif name == "Activity":
            self._in_activity = True
            self.activities.append(Activity(attributes.get("Sport", "").lower(), [], Totals()))
        elif name == "TrainingCenterDatabase":
            self.is_tcx = True

    def end(self, name: str, parent: str, text: str) -> None:
        if self._values is not None:
            if name == "Trackpoint":
                self._end_point(self._values)
            elif text:
                self._values["HeartRate" if parent == "HeartRateBpm" else name] = text
        elif name == "Activity":
            self._in_activity = False
        elif self._in_activity and text:
            self._sum_up(name, parent, text)

    def _sum_up(self, name: str, parent: str, text: str) -> None:
        totals = self.activities[-1].totals
        if name == "Id" and parent == "Activity":
            totals.started = time_of(text)
        elif parent == "Lap" and name in _SUMS and (value := number_of(text)) is not None:
            field = _SUMS[name]
            setattr(totals, field, (getattr(totals, field) or 0.0) + value)

    def _begin_point(self) -> None:
        self._count += 1
        if self._count > MAX_POINTS:
            raise Unreadable(f"It has more than {MAX_POINTS:,} points.")
        if self._in_activity:
            self._values = {}

    def _end_point(self, values: dict[str, str]) -> None:
        self._values = None
        activity = self.activities[-1]
        time = time_of(values.get("Time", ""))
        if time is None:
            activity.untimed += 1
            return
        latitude, longitude = number_of(values.get("LatitudeDegrees")), number_of(values.get("LongitudeDegrees"))
        if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
            latitude = longitude = None
        rate = number_of(values.get("HeartRate"))
        activity.points.append(
            Point(
                time,
                self._segment,
                latitude,
                longitude,
                number_of(values.get("AltitudeMeters")),
                number_of(values.get("DistanceMeters")),
                None if rate is None else round(rate),
            )
        )


def read_tcx(content: bytes) -> list[Activity]:
    """The activities of a file.

    Raises:
        Unreadable: it is no TCX, or has no activity, as a file of courses has none.
    """
    activities = _Activities()
    read_xml(content, activities)
    if not activities.is_tcx:
        raise Unreadable("It is XML, but not TCX.")
    if not activities.activities:
        raise Unreadable("It has no activity.")
    return activities.activities
