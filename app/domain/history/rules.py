"""Rules of sessions that are told before the database has to say them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import UNSET, Struct

from app.domain.history.dto import DoneSet, SetChange
from app.domain.history.models import ExerciseMode, SessionStatus
from app.errors import BrokenField, RuleBroken

__all__ = ("check_same", "check_source", "check_start", "duration_of", "wrong_metrics")

_LONGEST_SECONDS = 2**31 - 1
_START_AHEAD = timedelta(hours=24)

_METRICS = {
    ExerciseMode.REPS: "reps_completed",
    ExerciseMode.TIME: "time_seconds",
    ExerciseMode.DISTANCE: "distance_km",
    ExerciseMode.SETS_ONLY: None,
}
"""The metric that a set of each mode may have."""

_WIRE_NAMES = {"reps_completed": "repsCompleted", "time_seconds": "timeSeconds", "distance_km": "distanceKm"}


def wrong_metrics(mode: ExerciseMode, data: DoneSet | SetChange, path: str) -> list[BrokenField]:
    """The metrics of a set that are not its mode's."""
    return [
        BrokenField("rule", path + wire, f"Sets of an exercise in the mode {mode} have no {wire}.")
        for name, wire in _WIRE_NAMES.items()
        if name != _METRICS[mode] and getattr(data, name) not in (None, UNSET)
    ]


def check_same(field: str, sent: Sequence[Struct], stored: Sequence[Struct]) -> None:
    """Children may be sent back with their parent, as they are."""
    if sent != stored:
        raise RuleBroken.of(field, f"The {field} differ from what is stored; change them through their own routes.")


def check_start(start: datetime, now: datetime) -> None:
    """Refuse a start that lies too far ahead.

    Raises:
        RuleBroken: it is more than 24 hours from now.
    """
    if start > now + _START_AHEAD:
        raise RuleBroken.of("startTime", "A session starts at most 24 hours ahead.", "range")


def check_source(source: str | None, external_id: str | None) -> None:
    """Refuse an id at an unknown place.

    Raises:
        RuleBroken: there is an external id and no source.
    """
    if external_id and not source:
        raise RuleBroken.of("source", "An externalId needs a source.", "missing")


def duration_of(status: SessionStatus, start: datetime, end: datetime | None) -> int | None:
    """The duration in whole seconds that a session of a status has, given its times.

    Raises:
        RuleBroken: the status does not go with the end, or the end not with the start.
    """
    if status == SessionStatus.IN_PROGRESS:
        if end is not None:
            raise RuleBroken.of("endTime", "A session in progress has no end; complete or abort it.")
        return None
    if end is None:
        raise RuleBroken.of("endTime", "A session that is over has an end.", "null")
    if end < start:
        raise RuleBroken.of("endTime", "A session can't end before it starts.", "range")
    seconds = (end - start) // timedelta(seconds=1)
    if seconds > _LONGEST_SECONDS:
        raise RuleBroken.of("endTime", "A session can't be that long.", "range")
    return seconds if status == SessionStatus.COMPLETED else None
