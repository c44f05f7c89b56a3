"""Plans, workouts and runs as documents: PostgreSQL puts each together as JSON, and a run's figures follow here."""

from datetime import date, datetime
from decimal import Decimal
from typing import Final, Generic, TypeVar
from uuid import UUID

import msgspec
from asyncpg import Connection
from msgspec import Struct

from app.db.paging import Versioned
from app.db.reader import Reader
from app.domain.history.documents import json_instant
from app.domain.running.dto import Run, RunningPlan, RunningWorkout, Split
from app.domain.running.figures import matches_target, pace_of, pace_text
from app.domain.running.models import RunSource
from app.errors import NotFound
from app.http.fields import shortest

__all__ = (
    "PLANS",
    "PLAN_JSON",
    "RUN_JSON",
    "RUN_TABLES",
    "WORKOUTS",
    "WORKOUT_JSON",
    "Documents",
    "KeptRun",
    "read_run",
    "run_of",
)

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

D = TypeVar("D", RunningPlan, RunningWorkout)

_TIMES: Final = f"'createdAt', {json_instant('{row}.created_at')}, 'updatedAt', {json_instant('{row}.updated_at')}"

PLAN_JSON: Final = f"""
json_build_object(
    'id', p.id, 'name', p.name, 'description', p.description, 'startDate', p.start_date, 'endDate', p.end_date,
    'goalRaceDate', p.goal_race_date, 'status', p.status, {_TIMES.format(row="p")})
"""

WORKOUT_JSON: Final = f"""
json_build_object(
    'id', w.id, 'planId', w.plan_id, 'name', w.name, 'workoutType', w.workout_type,
    'plannedDistanceKm', w.planned_distance_km::float8, 'targetPaceMinSec', w.target_pace_min_sec,
    'targetPaceMaxSec', w.target_pace_max_sec, 'scheduledDate', w.scheduled_date, 'notes', w.notes,
    {_TIMES.format(row="w")})
"""

RUN_TABLES: Final = "runs r LEFT JOIN running_workouts rw ON rw.id = r.workout_id"
"""Runs, with what their workouts asked for."""

RUN_JSON: Final = f"""
json_build_object(
    'id', r.id, 'planId', r.plan_id, 'workoutId', r.workout_id, 'startedAt', {json_instant("r.started_at")},
    'userTimezone', r.user_timezone, 'localDate', r.local_date, 'distanceKm', r.distance_km,
    'durationSeconds', r.duration_seconds, 'elapsedSeconds', r.elapsed_seconds, 'avgHeartRate', r.avg_heart_rate,
    'elevationGainM', r.elevation_gain_m::float8, 'perceivedEffort', r.perceived_effort::float8, 'source', r.source,
    'externalId', r.external_id, 'notes', r.notes, 'splits', r.splits, 'fastest', rw.target_pace_min_sec,
    'slowest', rw.target_pace_max_sec, 'plannedKm', rw.planned_distance_km, {_TIMES.format(row="r")})
"""
"""A run of RUN_TABLES, to be read as a KeptRun."""

_READ_RUN: Final = f"SELECT r.version, ({RUN_JSON})::text AS run FROM {RUN_TABLES} WHERE r.id = $1 AND r.user_id = $2"


class Documents(Struct, Generic[D], frozen=True):
    """How the documents of one kind are read.

    Attributes:
        reading: one of them, by its id and its owner.
    """

    one: msgspec.json.Decoder[D]
    many: msgspec.json.Decoder[list[D]]
    reading: str

    async def read(self, connection: "Connection | Reader", key: UUID, user_id: UUID) -> Versioned[D]:
        """A document of a user.

        Raises:
            NotFound: the user has none with this id.
        """
        row = await connection.fetchrow(self.reading, key, user_id)
        if row is None:
            raise NotFound
        return Versioned(self.one.decode(row["document"]), row["version"])


PLANS: Final[Documents[RunningPlan]] = Documents(
    msgspec.json.Decoder(RunningPlan),
    msgspec.json.Decoder(list[RunningPlan]),
    f"SELECT p.version, ({PLAN_JSON})::text AS document FROM running_plans p WHERE p.id = $1 AND p.user_id = $2",
)
WORKOUTS: Final[Documents[RunningWorkout]] = Documents(
    msgspec.json.Decoder(RunningWorkout),
    msgspec.json.Decoder(list[RunningWorkout]),
    f"""
    SELECT w.version, ({WORKOUT_JSON})::text AS document
    FROM running_workouts w JOIN running_plans p ON p.id = w.plan_id WHERE w.id = $1 AND p.user_id = $2
    """,
)


class KeptRun(Struct, rename="camel", kw_only=True):
    """A run as it is stored, and what its workout asked for."""

    id: UUID
    plan_id: UUID | None
    workout_id: UUID | None
    started_at: datetime
    user_timezone: str
    local_date: date
    distance_km: Decimal
    duration_seconds: int
    elapsed_seconds: int | None
    avg_heart_rate: int | None
    elevation_gain_m: float | None
    perceived_effort: float | None
    source: RunSource
    external_id: str | None
    notes: str | None
    splits: list[Split] | None
    fastest: int | None
    slowest: int | None
    planned_km: Decimal | None
    created_at: datetime
    updated_at: datetime

    def document(self) -> Run:
        """The run as it goes out, with what follows from its figures."""
        distance, duration = self.distance_km, self.duration_seconds
        return Run(
            id=self.id,
            plan_id=self.plan_id,
            workout_id=self.workout_id,
            started_at=self.started_at,
            user_timezone=self.user_timezone,
            local_date=self.local_date,
            distance_km=shortest(float(distance)) or 0,
            duration_seconds=duration,
            pace_sec_per_km=shortest(pace_of(distance, duration)) or 0,
            pace_str=pace_text(distance, duration),
            matches_target=matches_target(distance, duration, self.fastest, self.slowest, self.planned_km),
            elapsed_seconds=self.elapsed_seconds,
            avg_heart_rate=self.avg_heart_rate,
            elevation_gain_m=shortest(self.elevation_gain_m),
            perceived_effort=shortest(self.perceived_effort),
            source=self.source,
            external_id=self.external_id,
            notes=self.notes,
            splits=self.splits,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


_run = msgspec.json.Decoder(KeptRun)


def run_of(text: str) -> Run:
    """A run that was read as RUN_JSON."""
    return _run.decode(text).document()


async def read_run(connection: "Connection | Reader", run_id: UUID, user_id: UUID) -> Versioned[Run]:
    """A run of a user.

    Raises:
        NotFound: the user has none with this id.
    """
    row = await connection.fetchrow(_READ_RUN, run_id, user_id)
    if row is None:
        raise NotFound
    return Versioned(run_of(row["run"]), row["version"])
