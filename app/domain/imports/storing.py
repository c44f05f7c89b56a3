"""Stores what was read from files: as runs, each once, with the files that they were read from."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Connection
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.transaction import raw_connection
from app.domain.imports.dto import ImportedRun, Outcome
from app.domain.imports.figures import Figures
from app.domain.running.dto import NewSplit, SplitKilometres
from app.domain.running.models import RunSource
from app.domain.running.services import RunValues, StoredRun, hold_runner, record_runs
from app.errors import RuleBroken
from app.http.fields import shortest

__all__ = ("NewRun", "same_activity", "store_runs")

_SAME_WITHIN: Final = 0.01
"""How far the distances of one activity may be apart in two formats."""

# A run that begins in the same second and is as long, within 1 %, is the same, whatever it was read from.
_SAME: Final = f"""
SELECT new.place, (
    SELECT r.id FROM runs r
    WHERE r.user_id = $1 AND r.started_at >= new.second AND r.started_at < new.second + interval '1 second'
        AND abs(r.distance_km - new.distance_km) <= {_SAME_WITHIN} * greatest(r.distance_km, new.distance_km)
    ORDER BY r.id LIMIT 1) AS run_id
FROM json_to_recordset($2::text::json) AS new (place integer, second timestamptz, distance_km numeric)
ORDER BY new.place
"""  # noqa: S608 (a number of ours)


class NewRun(Struct, frozen=True):
    """A run that was read from a file.

    Attributes:
        external_id: what the source knows it by; for files of devices the second in which it began.
        timezone: the runner's, in its canonical spelling.
    """

    figures: Figures
    source: RunSource
    external_id: str
    timezone: str
    notes: str | None = None

    def values(self) -> RunValues:
        """What is stored of it."""
        figures = self.figures
        return RunValues(
            started_at=started_at(figures),
            user_timezone=self.timezone,
            distance_km=Decimal(str(figures.distance_km)),
            duration_seconds=figures.moving_seconds,
            elapsed_seconds=figures.elapsed_seconds,
            avg_heart_rate=figures.avg_heart_rate,
            elevation_gain_m=None if figures.ascent_m is None else Decimal(str(figures.ascent_m)),
            source=self.source,
            external_id=self.external_id,
            notes=self.notes,
            splits=[
                NewSplit(distance_km=SplitKilometres(str(split.distance_km)), duration_seconds=split.duration_seconds)
                for split in figures.splits
            ]
            or None,
        )


def started_at(figures: Figures) -> datetime:
    """When a run began."""
    return datetime.fromtimestamp(figures.started, UTC)


def _second(figures: Figures) -> datetime:
    return started_at(figures).replace(microsecond=0)


def same_activity(one: Figures, other: Figures) -> bool:
    """Whether two readings are of one activity: they begin in the same second, and are as long within 1 %."""
    longer = max(one.distance_km, other.distance_km)
    return int(one.started) == int(other.started) and abs(one.distance_km - other.distance_km) <= _SAME_WITHIN * longer


async def store_runs(session: AsyncSession, user_id: UUID, runs: Sequence[NewRun]) -> list[ImportedRun]:
    """Store runs in the session's transaction, each unless it is there already: by its source and external id, or by
    its first second and its distance.

    Returns:
        What became of each, in their order.
    """
    await hold_runner(session, user_id)
    connection = await raw_connection(session)
    there = await _same(connection, user_id, runs)
    outcomes: list[ImportedRun | None] = [_checked(run, known) for run, known in zip(runs, there, strict=True)]
    chosen = _first_of_each(runs, [place for place, outcome in enumerate(outcomes) if outcome is None])
    recorded = await record_runs(session, user_id, [runs[place].values() for place in chosen])
    for place, stored in zip(chosen, recorded, strict=True):
        outcomes[place] = _outcome(runs[place], stored)
    return [outcome or _repeated(runs, outcomes, place) for place, outcome in enumerate(outcomes)]


async def _same(connection: "Connection", user_id: UUID, runs: Sequence[NewRun]) -> list[UUID | None]:
    asked = [
        {
            "place": place,
            "second": started_at(run.figures).replace(microsecond=0),
            "distance_km": run.figures.distance_km,
        }
        for place, run in enumerate(runs)
    ]
    return [row["run_id"] for row in await connection.fetch(_SAME, user_id, msgspec.json.encode(asked).decode())]


def _checked(run: NewRun, known: UUID | None) -> ImportedRun | None:
    """What is known of a run before it is stored: that it is there, or can't be stored."""
    if known:
        return _told(run, Outcome.DUPLICATE, run_id=known)
    try:
        run.values().check()
    except RuleBroken as error:
        return _told(run, Outcome.REFUSED, reason=error.details[0].message)
    return None


def _first_of_each(runs: Sequence[NewRun], places: Sequence[int]) -> list[int]:
    chosen: dict[int, list[int]] = {}
    for place in places:
        second = int(runs[place].figures.started)
        earlier = chosen.setdefault(second, [])
        if not any(same_activity(runs[place].figures, runs[other].figures) for other in earlier):
            earlier.append(place)
    return sorted(place for places_of_second in chosen.values() for place in places_of_second)


def _repeated(runs: Sequence[NewRun], outcomes: Sequence[ImportedRun | None], place: int) -> ImportedRun:
    """What became of a run that repeats an earlier one of the same call."""
    run = runs[place]
    for other, outcome in zip(runs[:place], outcomes, strict=False):
        if outcome and outcome.run_id and same_activity(run.figures, other.figures):
            return _told(run, Outcome.DUPLICATE, run_id=outcome.run_id)
    return _told(run, Outcome.DUPLICATE)


def _outcome(run: NewRun, stored: StoredRun) -> ImportedRun:
    if not stored.is_new:
        return _told(run, Outcome.DUPLICATE, run_id=stored.run_id)
    told = _told(run, Outcome.STORED, run_id=stored.run_id)
    told.plan_id, told.workout_id, told.auto_matched = stored.plan_id, stored.workout_id, stored.auto_matched
    return told


def _told(run: NewRun, status: Outcome, *, run_id: UUID | None = None, reason: str | None = None) -> ImportedRun:
    figures = run.figures
    return ImportedRun(
        status=status,
        run_id=run_id,
        reason=reason or ("This run is there already." if status is Outcome.DUPLICATE else None),
        started_at=started_at(figures),
        distance_km=shortest(figures.distance_km),
        duration_seconds=figures.moving_seconds,
        elapsed_seconds=figures.elapsed_seconds,
    )
