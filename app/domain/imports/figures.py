"""The figures of a run, from its points.

**Distance**: what the device has measured, where it has measured any; else the sum of great-circle distances between
positions (haversine, mean radius of the Earth 6,371,008.8 m, IUGG), leaving out positions that could only be reached
from the one before at over 12.5 m/s (the fastest that was ever run is 12.4 m/s), and what lies between two segments of
the recording. Where two positions in a row can't be reached, but the second can from the first, it goes on from there,
and what lies before them was not run: the first position of all was wrong, or the runner took a train.

**Elapsed time**: from the first point to the last.

**Moving time**: the time between points of one segment (a pause of the recording does not count) in which at least
0.5 m/s were made. It is the duration of the run, of which its pace is made.

**Splits**: the moving time of each full kilometre and of the rest, linear between points. Both columns are rounded so
that their sums are the run's distance and duration.

**Ascent**: with a hysteresis of 3 m: a climb counts once it is 3 m above the last level, and a descent lowers the level
once it is 3 m below, so that the noise of a barometer or of GPS on the flat does not add up.

**Heart rate**: each value weighs as long as it lasts, which is until the next point.

Points are put into the order of their times first; of several at the same time the first counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt
from typing import Final

from msgspec import Struct

from app.domain.imports.activity import Activity, Point, Totals, Unreadable

__all__ = (
    "ASCENT_STEP",
    "EARTH_RADIUS",
    "FASTEST",
    "SLOWEST",
    "Figures",
    "Split",
    "ascent",
    "figures_of",
    "haversine",
    "mean_heart_rate",
)

EARTH_RADIUS: Final = 6_371_008.8
FASTEST: Final = 12.5
"""Metres a second; what is faster is an error of the position."""
SLOWEST: Final = 0.5
"""Metres a second; what is slower is standing."""
ASCENT_STEP: Final = 3.0
"""Metres."""

_KILOMETRE: Final = 1000.0
_LONGEST: Final = 1_000_000.0
_LEAST_SPLIT: Final = 0.001
_HEART_RATES: Final = range(25, 251)
_HIGHEST: Final = 99_999.9


class Split(Struct, frozen=True):
    """A kilometre, or the rest of a run.

    Attributes:
        duration_seconds: moving time.
    """

    distance_km: float
    duration_seconds: int


class Figures(Struct, frozen=True):
    """What a run comes to.

    Attributes:
        started: Unix seconds.
        moving_seconds: the run's duration.
        splits: empty where there are no points, or none that can be believed.
        ascent_m: None where no altitude was recorded.
    """

    started: float
    distance_km: float
    moving_seconds: int
    elapsed_seconds: int
    splits: tuple[Split, ...]
    ascent_m: float | None
    avg_heart_rate: int | None


class _Leg(Struct, frozen=True, gc=False):
    """The way between two points: metres, and seconds in motion."""

    distance: float
    moving: float


def figures_of(activity: Activity) -> Figures:
    """The figures of an activity.

    Raises:
        Unreadable: it has no times, no distance, or nothing in it moves.
    """
    points = _in_order(activity.points)
    if len(points) < 2:
        return _of_totals(activity)
    legs = list(_legs(points))
    distance = sum(leg.distance for leg in legs)
    if not distance:
        # A treadmill without a sensor: nobody measured points, but the runner may have said how far it was.
        return _of_totals(activity)
    if distance > _LONGEST:
        raise Unreadable("It is longer than 1,000 km.")
    moving = sum(leg.moving for leg in legs)
    if moving < 0.5:
        raise Unreadable("Nothing in it moves.")
    return Figures(
        started=points[0].time,
        distance_km=round(distance / _KILOMETRE, 3),
        moving_seconds=round(moving),
        elapsed_seconds=max(round(points[-1].time - points[0].time), round(moving)),
        splits=_splits(legs),
        ascent_m=ascent(point.altitude for point in points if point.altitude is not None),
        avg_heart_rate=mean_heart_rate(points),
    )


def haversine(here: Point, there: Point) -> float:
    """Metres between two positions."""
    if here.latitude is None or here.longitude is None or there.latitude is None or there.longitude is None:
        return 0.0
    south, north = radians(here.latitude), radians(there.latitude)
    height = sin((north - south) / 2) ** 2
    width = sin(radians(there.longitude - here.longitude) / 2) ** 2
    return 2 * EARTH_RADIUS * asin(min(1.0, sqrt(height + cos(south) * cos(north) * width)))


def ascent(altitudes: Iterable[float]) -> float | None:
    """Metres climbed, with a hysteresis of 3 m; None where there is no altitude."""
    level: float | None = None
    climbed = 0.0
    for altitude in altitudes:
        if level is None:
            level = altitude
        elif altitude >= level + ASCENT_STEP:
            climbed += altitude - level
            level = altitude
        elif altitude <= level - ASCENT_STEP:
            level = altitude
    return None if level is None else min(round(climbed, 1), _HIGHEST)


def mean_heart_rate(points: Sequence[Point]) -> int | None:
    """The mean of what was measured, each value for as long as it lasts within its segment."""
    beats = weight = 0.0
    measured = []
    for index, point in enumerate(points):
        if point.heart_rate is None or point.heart_rate not in _HEART_RATES:
            continue
        measured.append(point.heart_rate)
        following = points[index + 1] if index + 1 < len(points) else None
        if following is not None and following.segment == point.segment:
            beats += point.heart_rate * (following.time - point.time)
            weight += following.time - point.time
    if weight:
        return round(beats / weight)
    return round(sum(measured) / len(measured)) if measured else None


def _in_order(points: Iterable[Point]) -> list[Point]:
    ordered: list[Point] = []
    for point in sorted(points, key=lambda point: point.time):
        if not ordered or point.time > ordered[-1].time:
            ordered.append(point)
    return ordered


def _legs(points: Sequence[Point]) -> Iterator[_Leg]:
    measured = list(_measured_legs([point for point in points if point.distance is not None]))
    # Some apps write a distance of nought into each point.
    return iter(measured) if any(leg.distance for leg in measured) else _positioned_legs(points)


def _measured_legs(points: Sequence[Point]) -> Iterator[_Leg]:
    furthest = points[0].distance or 0.0 if points else 0.0
    for here, there in pairwise(points):
        # What the device takes back later was not run twice.
        distance = max(0.0, (there.distance or 0.0) - furthest)
        furthest += distance
        yield _leg(here, there, distance)


def _positioned_legs(points: Sequence[Point]) -> Iterator[_Leg]:
    here: Point | None = None
    astray: Point | None = None
    for there in points:
        if there.latitude is None:
            continue
        if here is None or there.segment != here.segment:
            here, astray = there, None
            continue
        before = next((point for point in (here, astray) if point and _is_reachable(point, there)), None)
        if before is None:
            astray = there
        else:
            yield _leg(before, there, haversine(before, there))
            here, astray = there, None


def _is_reachable(here: Point, there: Point) -> bool:
    return haversine(here, there) <= FASTEST * (there.time - here.time)


def _leg(here: Point, there: Point, distance: float) -> _Leg:
    seconds = there.time - here.time
    is_moving = there.segment == here.segment and distance >= SLOWEST * seconds
    return _Leg(distance, seconds if is_moving else 0.0)


def _splits(legs: Sequence[_Leg]) -> tuple[Split, ...]:
    splits = list(_between(_marks(legs)))
    if len(splits) > 1 and not splits[-1].duration_seconds:
        # A rest of some metres that took less than half a second: a split takes a second at least.
        before, rest = splits[-2:]
        splits[-2:] = [Split(before.distance_km, before.duration_seconds - 1), Split(rest.distance_km, 1)]
    # A kilometre of no time at all, where the device has jumped: then none of them can be told.
    return tuple(splits) if all(split.duration_seconds > 0 for split in splits) else ()


def _marks(legs: Sequence[_Leg]) -> Iterator[tuple[float, float]]:
    """Distance and moving time at each full kilometre, and at the end."""
    distance = moving = 0.0
    mark = _KILOMETRE
    for leg in legs:
        while distance + leg.distance >= mark:
            yield mark, moving + leg.moving * (mark - distance) / leg.distance
            mark += _KILOMETRE
        distance += leg.distance
        moving += leg.moving
    yield distance, moving


def _between(marks: Iterable[tuple[float, float]]) -> Iterator[Split]:
    """What lies between marks. Each is rounded by itself, so that the differences sum to the last."""
    kilometres, seconds = 0.0, 0
    held: Split | None = None
    for distance, moving in marks:
        reached, at = round(distance / _KILOMETRE, 3), round(moving)
        length = round(reached - kilometres, 3)
        if length >= _LEAST_SPLIT:
            if held is not None:
                yield held
            held = Split(length, at - seconds)
        elif held is not None:
            # Too short to be told: its time belongs to the kilometre before.
            held = Split(held.distance_km, held.duration_seconds + at - seconds)
        kilometres, seconds = reached, at
    if held is not None:
        yield held


def _of_totals(activity: Activity) -> Figures:
    """The figures of an activity without points.

    Raises:
        Unreadable: it has no totals either.
    """
    totals = activity.totals
    started = totals.started if totals.started is not None else min((p.time for p in activity.points), default=None)
    if started is None:
        raise Unreadable("Its points have no times." if activity.untimed else "It has no points.")
    distance, moving = totals.distance or 0.0, totals.moving or totals.elapsed or 0.0
    if not distance:
        raise Unreadable(_missing_distance(activity.points))
    if moving < 0.5:
        raise Unreadable("It has no duration.")
    if distance > _LONGEST:
        raise Unreadable("It is longer than 1,000 km.")
    points = _in_order(activity.points)
    measured = mean_heart_rate(points)
    return Figures(
        started=started,
        distance_km=round(distance / _KILOMETRE, 3),
        moving_seconds=round(moving),
        elapsed_seconds=max(round(totals.elapsed or moving), round(moving)),
        splits=(),
        ascent_m=_climbed(totals, points),
        avg_heart_rate=measured if measured is not None else _plausible(totals),
    )


def _missing_distance(points: Iterable[Point]) -> str:
    if any(point.latitude is not None for point in points):
        return "Nothing in it moves."
    return "It has neither positions nor a distance."


def _climbed(totals: Totals, points: Sequence[Point]) -> float | None:
    if totals.ascent is not None and 0 <= totals.ascent <= _HIGHEST:
        return round(totals.ascent, 1)
    return ascent(point.altitude for point in points if point.altitude is not None)


def _plausible(totals: Totals) -> int | None:
    return totals.heart_rate if totals.heart_rate in _HEART_RATES else None
