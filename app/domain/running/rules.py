"""Rules of plans, workouts and runs that look at several values, told before the database has to say them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from msgspec import UNSET, UnsetType

from app.domain.running.dto import NewSplit
from app.domain.running.figures import duration_at, fits_pace
from app.domain.running.models import WorkoutType
from app.errors import BrokenField, RuleBroken

__all__ = (
    "RUNNING_TYPES",
    "duration_of",
    "gathered",
    "refuse",
    "wrong_dates",
    "wrong_pace",
    "wrong_plan",
    "wrong_run",
    "wrong_start",
    "wrong_workout",
)

RUNNING_TYPES: Final = (
    WorkoutType.EASY,
    WorkoutType.TEMPO,
    WorkoutType.LONG,
    WorkoutType.SPEED,
    WorkoutType.RECOVERY,
)
"""The types of workouts that are run, and so have a distance."""

_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2100, 12, 31)
_LONGEST_PLAN: Final = timedelta(days=366)
_START_AHEAD: Final = timedelta(hours=24)
_LEAST_PACE, _MOST_PACE = 60, 3600
_ROUNDED_KM: Final = Decimal("0.001")


def refuse(broken: Sequence[BrokenField]) -> None:
    """Refuse what breaks rules.

    Raises:
        RuleBroken: there is any.
    """
    if broken:
        raise RuleBroken(broken)


@contextmanager
def gathered(broken: list[BrokenField]) -> Iterator[None]:
    """Note what the block finds wrong, and go on: so all that is wrong is told at once."""
    try:
        yield
    except RuleBroken as error:
        broken += error.details


def wrong_dates(**dates: date | None) -> Iterator[BrokenField]:
    """Dates outside of the years 1970 to 2100, by their wire names."""
    for field, day in dates.items():
        if day is not None and not _FIRST_DAY <= day <= _LAST_DAY:
            yield BrokenField("range", field, "Expected a date in the years 1970 to 2100.")


def wrong_plan(start: date, end: date, race: date | None) -> list[BrokenField]:
    """What is wrong with the dates of a plan: it ends after its start, at most 366 days later."""
    broken = list(wrong_dates(startDate=start, endDate=end, goalRaceDate=race))
    if end <= start:
        broken.append(BrokenField("rule", "endDate", "A plan ends after its start."))
    elif end - start > _LONGEST_PLAN:
        broken.append(BrokenField("rule", "endDate", "A plan ends at most 366 days after its start."))
    return broken


def wrong_workout(
    kind: WorkoutType, distance: Decimal | None, fastest: int | None, slowest: int | None
) -> list[BrokenField]:
    """What is wrong with what a workout asks for: types that are run have a distance and a rest has none; a target pace
    has both ends, the faster one first.
    """
    broken = []
    if kind in RUNNING_TYPES and distance is None:
        broken.append(BrokenField("missing", "plannedDistanceKm", f"A workout of the type {kind} has a distance."))
    if kind is WorkoutType.REST and distance is not None:
        broken.append(BrokenField("rule", "plannedDistanceKm", "A rest has no distance."))
    if fastest is not None and slowest is None:
        broken.append(BrokenField("missing", "targetPaceMaxSec", "A target pace has both ends."))
    if slowest is not None and fastest is None:
        broken.append(BrokenField("missing", "targetPaceMinSec", "A target pace has both ends."))
    if fastest is not None and slowest is not None and fastest > slowest:
        broken.append(BrokenField("rule", "targetPaceMaxSec", "The faster end of a target pace comes first."))
    return broken


def duration_of(distance: Decimal, duration: int | None, pace: float | UnsetType | None) -> int:
    """The duration of a run that was sent with a duration, a pace, or both: then the duration wins.

    Raises:
        RuleBroken: there is neither.
    """
    if duration is not None:
        return duration
    if pace is None or pace is UNSET:
        raise RuleBroken.of("durationSeconds", "A durationSeconds or a paceSecPerKm is required.", "missing")
    return duration_at(distance, pace)


def wrong_pace(distance: Decimal, duration: int | None, pace: float | UnsetType | None) -> Iterator[BrokenField]:
    """What is wrong with a pace that was sent with a duration: they differ by more than 1 s/km."""
    if duration is None or pace is None or pace is UNSET or fits_pace(distance, duration, pace):
        return
    message = "This pace is not that of the distance and the duration; leave it out."
    yield BrokenField("rule", "paceSecPerKm", message)


def wrong_start(start: datetime) -> Iterator[BrokenField]:
    """What is wrong with the start of a run: it is more than 24 hours from now."""
    if start > datetime.now(UTC) + _START_AHEAD:
        yield BrokenField("range", "startedAt", "A run starts at most 24 hours ahead.")


def wrong_run(
    distance: Decimal, duration: int, elapsed: int | None, splits: Sequence[NewSplit] | None
) -> list[BrokenField]:
    """What is wrong with the figures of a run: its pace is 60 to 3600 s/km, its pauses do not make it shorter, and its
    splits are one for each kilometre, the last one maybe shorter, which add up to its distance within a metre and to
    its duration within a second for each of them, as each was rounded.
    """
    broken = []
    if not _LEAST_PACE * distance <= duration <= _MOST_PACE * distance:
        broken.append(BrokenField("range", "durationSeconds", "Expected a pace of 60 to 3600 s/km."))
    if elapsed is not None and elapsed < duration:
        message = "The time with all pauses is not shorter than the time without them."
        broken.append(BrokenField("rule", "elapsedSeconds", message))
    if splits is not None:
        broken.extend(_wrong_splits(distance, duration, splits))
    return broken


def _wrong_splits(distance: Decimal, duration: int, splits: Sequence[NewSplit]) -> Iterator[BrokenField]:
    for place, split in enumerate(splits[:-1]):
        if split.distance_km != 1:
            yield BrokenField("rule", f"splits[{place}].distanceKm", "Only the last split is not a whole kilometre.")
    km, seconds = sum(split.distance_km for split in splits), sum(split.duration_seconds for split in splits)
    if abs(km - distance) > _ROUNDED_KM * len(splits):
        yield BrokenField("rule", "splits", f"The splits are {km} km, and the run is {distance} km.")
    if abs(seconds - duration) > len(splits):
        yield BrokenField("rule", "splits", f"The splits are {seconds} s, and the run is {duration} s.")
