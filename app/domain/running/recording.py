"""Stores runs: one that somebody sends, or many of an import; each linked to its workout of the day."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Connection
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.transaction import raw_connection
from app.domain.running.dto import NewSplit
from app.domain.running.models import RunSource
from app.domain.running.rules import RUNNING_TYPES, refuse, wrong_run, wrong_start
from app.errors import BrokenField

__all__ = ("OpenWorkout", "RunValues", "StoredRun", "as_json", "best_workout", "hold_runner", "record_runs")

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_HOLD_RUNNER: Final = text("SELECT FROM user_account WHERE id = :id FOR NO KEY UPDATE")

_RUNS: Final = "json_to_recordset($2::text::json) AS r"

# What the runs meet: the same ones that are there already, and the workouts of their days that nobody has run yet.
_MEET: Final = f"""
SELECT r.place, r.local_date, (
        SELECT stored.id FROM runs stored
        WHERE stored.user_id = $1 AND stored.source = r.source AND stored.external_id = r.external_id) AS stored_id, (
        SELECT json_agg(json_build_object(
            'id', w.id, 'planId', w.plan_id, 'plannedKm', w.planned_distance_km, 'createdAt', w.created_at))
        FROM running_plans p JOIN running_workouts w ON w.plan_id = p.id
        WHERE r.auto_match AND p.user_id = $1 AND p.status = 'active' AND (r.plan_id IS NULL OR p.id = r.plan_id)
            AND w.scheduled_date = r.local_date
            AND w.workout_type IN ({", ".join(f"'{kind}'" for kind in RUNNING_TYPES)})
            AND NOT EXISTS (SELECT FROM runs done WHERE done.workout_id = w.id))::text AS workouts
FROM (
    SELECT r.*, (r.started_at AT TIME ZONE r.user_timezone)::date AS local_date
    FROM {_RUNS} (place integer, started_at timestamptz, user_timezone text, source text, external_id text,
        plan_id uuid, auto_match boolean)
) AS r
ORDER BY r.place
"""

_STORE: Final = f"""
INSERT INTO runs (id, user_id, plan_id, workout_id, started_at, user_timezone, distance_km, duration_seconds,
    elapsed_seconds, avg_heart_rate, elevation_gain_m, perceived_effort, source, external_id, notes, splits)
SELECT id, $1, plan_id, workout_id, started_at, user_timezone, distance_km, duration_seconds,
    elapsed_seconds, avg_heart_rate, elevation_gain_m, perceived_effort, source, external_id, notes, splits
FROM {_RUNS} (id uuid, plan_id uuid, workout_id uuid, started_at timestamptz, user_timezone text, distance_km numeric,
    duration_seconds integer, elapsed_seconds integer, avg_heart_rate smallint, elevation_gain_m numeric,
    perceived_effort numeric, source text, external_id text, notes text, splits jsonb)
"""


class RunValues(Struct, kw_only=True):
    """A run to store, all of whose values are known.

    Attributes:
        user_timezone: in its canonical spelling.
        plan_id: with workout_id, what it is of; whoever sets them has looked that they are the user's and agree.
        auto_match: whether, without a workout, it is linked to one of its day; where it has a plan, to one of that.
    """

    started_at: datetime
    user_timezone: str
    distance_km: Decimal
    duration_seconds: int
    elapsed_seconds: int | None = None
    avg_heart_rate: int | None = None
    elevation_gain_m: Decimal | None = None
    perceived_effort: Decimal | None = None
    source: RunSource = RunSource.MANUAL
    external_id: str | None = None
    notes: str | None = None
    splits: list[NewSplit] | None = None
    plan_id: UUID | None = None
    workout_id: UUID | None = None
    auto_match: bool = True

    def broken(self) -> list[BrokenField]:
        """Figures that do not go together, and a start too far ahead.

        What the kinds of `WholeRun` check of each value by itself is not looked at again.
        """
        figures = wrong_run(self.distance_km, self.duration_seconds, self.elapsed_seconds, self.splits)
        return [*wrong_start(self.started_at), *figures]

    def check(self) -> None:
        """Refuse what is broken.

        Raises:
            RuleBroken: naming all that is wrong.
        """
        refuse(self.broken())


class StoredRun(Struct, frozen=True):
    """What became of a run that was to be stored.

    Attributes:
        run_id: of the run, or of the one of the same source and external id that was there already.
        is_new: whether it was stored now.
        plan_id: with workout_id, what it was linked to; None for one that was there already.
        auto_matched: whether the link was found by its day.
    """

    run_id: UUID
    is_new: bool
    plan_id: UUID | None = None
    workout_id: UUID | None = None
    auto_matched: bool = False


class OpenWorkout(Struct, frozen=True, rename="camel"):
    """A workout that nobody has run yet."""

    id: UUID
    plan_id: UUID
    planned_km: Decimal
    created_at: datetime


class _Met(Struct, frozen=True):
    local_date: date
    stored_id: UUID | None
    workouts: list[OpenWorkout]


_workouts = msgspec.json.Decoder(list[OpenWorkout])


def best_workout(distance_km: Decimal, workouts: Iterable[OpenWorkout]) -> OpenWorkout | None:
    """The workout that a run fulfils: the nearest in relative distance, |run - planned| / planned; of several as near
    the oldest. None: there are no workouts.
    """
    return min(
        workouts,
        key=lambda open_: (abs(distance_km - open_.planned_km) / open_.planned_km, open_.created_at, open_.id),
        default=None,
    )


def _plain(value: object) -> object:
    """Kinds of values that are read from the wire are subclasses of plain ones."""
    return Decimal(value) if isinstance(value, Decimal) else str(value)


_encoder = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number")


async def hold_runner(session: AsyncSession, user_id: UUID) -> None:
    """Wait for the other writers of a user's plans, workouts and runs: they take turns.

    So of two runs one is linked to a workout, and each sees what the one before has left.
    """
    await session.execute(_HOLD_RUNNER, {"id": user_id})


async def record_runs(session: AsyncSession, user_id: UUID, runs: Sequence[RunValues]) -> list[StoredRun]:
    """Store many runs in the session's transaction, in three statements, and link each to its workout.

    Runs of a source and external id that the user has already are left as they are; of several that are the same, the
    first is stored. Runs that come first are linked first. Nothing is stored when one of them breaks a rule of the
    database, so each is checked before (`RunValues.check`).

    Args:
        user_id: whose runs they are.

    Returns:
        What became of each, in their order.
    """
    if not runs:
        return []
    await hold_runner(session, user_id)
    connection = await raw_connection(session)
    met = await _meet(connection, user_id, runs)
    outcomes = _decide(runs, met)
    rows = [
        {**msgspec.structs.asdict(run), "id": outcome.run_id, **_links(outcome)}
        for run, outcome in zip(runs, outcomes, strict=True)
        if outcome.is_new
    ]
    # A run that repeats one of the same call has that one's id.
    new = {row["id"]: row for row in reversed(rows)}
    if new:
        await connection.execute(_STORE, user_id, as_json(list(new.values())))
    return outcomes


def _links(outcome: StoredRun) -> dict[str, UUID | None]:
    return {"plan_id": outcome.plan_id, "workout_id": outcome.workout_id}


async def _meet(connection: "Connection", user_id: UUID, runs: Sequence[RunValues]) -> list[_Met]:
    asked = [
        {
            "place": place,
            "started_at": run.started_at,
            "user_timezone": run.user_timezone,
            "source": run.source,
            "external_id": run.external_id,
            "plan_id": run.plan_id,
            "auto_match": run.auto_match and run.workout_id is None,
        }
        for place, run in enumerate(runs)
    ]
    rows = await connection.fetch(_MEET, user_id, as_json(asked))
    return [
        _Met(row["local_date"], row["stored_id"], _workouts.decode(row["workouts"]) if row["workouts"] else [])
        for row in rows
    ]


def _decide(runs: Sequence[RunValues], met: Sequence[_Met]) -> list[StoredRun]:
    known: dict[tuple[str, str], UUID] = {}
    fulfilled: set[UUID | None] = {run.workout_id for run in runs}
    outcomes = []
    for run, meeting in zip(runs, met, strict=True):
        key = (run.source, run.external_id) if run.external_id else None
        stored_id = meeting.stored_id or (known.get(key) if key else None)
        if stored_id:
            outcomes.append(StoredRun(stored_id, is_new=False))
            continue
        outcome = _linked(run, [workout for workout in meeting.workouts if workout.id not in fulfilled])
        fulfilled.add(outcome.workout_id)
        if key:
            known[key] = outcome.run_id
        outcomes.append(outcome)
    return outcomes


def _linked(run: RunValues, workouts: Sequence[OpenWorkout]) -> StoredRun:
    if workout := best_workout(run.distance_km, workouts):
        return StoredRun(uuid7(), is_new=True, plan_id=workout.plan_id, workout_id=workout.id, auto_matched=True)
    return StoredRun(uuid7(), is_new=True, plan_id=run.plan_id, workout_id=run.workout_id)


def as_json(rows: Sequence[object]) -> str:
    """Rows as a parameter of a statement."""
    # As JSON: on each new connection, asyncpg asks the catalogue about array types before their first use.
    return _encoder.encode(rows).decode()
