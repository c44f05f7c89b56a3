"""Sessions as documents: each is read whole, in one statement, and locked by its row."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from asyncpg import Connection, Record
from msgspec import Struct
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.db.paging import Precondition, Versioned
from app.domain.history.dto import SessionExercise, SessionSet, TrainingSession
from app.domain.history.models import SessionStatus
from app.domain.history.models import TrainingSession as SessionRow
from app.errors import NotFound
from app.http.fields import shortest
from app.security.principal import Principal

__all__ = (
    "LONGEST_PART",
    "READ_SESSION",
    "SESSION_COLUMNS",
    "SET_COLUMNS",
    "SET_JSON",
    "KeptSession",
    "LockedSession",
    "json_instant",
    "lock_session",
    "read_exercise",
    "read_session",
    "session_of",
    "set_of",
)


def json_instant(column: str) -> str:
    """An instant in JSON, in UTC: by itself it comes in the connection's zone, which is whatever the server's is."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


LONGEST_PART: Final = 4_000_000
"""After how many bytes of JSON a part of several sessions ends: some 16,000 sets without notes."""

SET_JSON = f"""
json_build_object(
    'id', t.id, 'orderIndex', t.order_index, 'weight', t.weight::float8, 'repsCompleted', t.reps_completed,
    'timeSeconds', t.time_seconds, 'distanceKm', t.distance_km::float8, 'setType', t.set_type, 'rpe', t.rpe::float8,
    'restSeconds', t.rest_seconds, 'completedAt', {json_instant("t.completed_at")}, 'note', t.note)
"""

EXERCISE_JSON = f"""
json_build_object(
    'id', e.id, 'exerciseId', e.exercise_id, 'exerciseName', e.exercise_name_snapshot,
    'plannedUnitExerciseId', e.planned_unit_exercise_id, 'mode', e.mode_snapshot, 'orderIndex', e.order_index,
    'supersetGroup', e.superset_group, 'planned', json_build_object(
        'orderIndex', e.order_index_snapshot, 'targetWeight', e.target_weight_snapshot::float8, 'sets', e.sets_snapshot,
        'repsMin', e.reps_min_snapshot, 'repsMax', e.reps_max_snapshot, 'restSeconds', e.rest_seconds_snapshot,
        'targetTimeSeconds', e.target_time_seconds_snapshot,
        'targetDistanceKm', e.target_distance_km_snapshot::float8),
    'sets', coalesce((
        SELECT json_agg({SET_JSON} ORDER BY t.order_index)
        FROM training_session_sets t WHERE t.session_exercise_id = e.id), '[]'::json))
"""  # noqa: S608 (every text here is a constant; values are parameters)

SESSION_COLUMNS = f"""
s.version, s.id, s.status, s.training_plan_id, s.training_unit_id, s.plan_unit_id, s.plan_name_snapshot AS plan_name,
s.unit_name_snapshot AS unit_name, s.day_number_snapshot AS day_number, s.start_time, s.end_time, s.user_timezone,
s.local_date, s.duration_seconds, s.notes, s.perceived_effort::float8, s.source, s.external_id, s.client_revision,
s.created_at, s.updated_at,
coalesce((
    SELECT json_agg({EXERCISE_JSON} ORDER BY e.order_index)
    FROM training_session_exercises e WHERE e.training_session_id = s.id), '[]'::json)::text AS exercises
"""  # noqa: S608

READ_SESSION = f"SELECT {SESSION_COLUMNS} FROM training_sessions s WHERE s.id = $1 AND s.user_id = $2"  # noqa: S608

_READ_EXERCISE = f"""
SELECT s.version, ({EXERCISE_JSON})::text AS exercise
FROM training_session_exercises e JOIN training_sessions s ON s.id = e.training_session_id
WHERE e.id = $1 AND s.id = $2
"""  # noqa: S608

SET_COLUMNS = (
    "id, order_index, weight::float8, reps_completed, time_seconds, distance_km::float8, set_type, rpe::float8,"
    " rest_seconds, completed_at, note"
)

_exercises_decoder = msgspec.json.Decoder(list[SessionExercise])
_exercise_decoder = msgspec.json.Decoder(SessionExercise)


class KeptSession(Struct, frozen=True):
    """A session as it is stored in the end.

    Attributes:
        is_new: whether it was not there before.
    """

    session: Versioned[TrainingSession]
    is_new: bool


class LockedSession(NamedTuple):
    """A session's row, which this transaction has locked, and when the transaction began."""

    version: int
    status: SessionStatus
    start_time: datetime
    end_time: datetime | None
    user_timezone: str
    notes: str | None
    perceived_effort: Decimal | None
    source: str | None
    external_id: str | None
    now: datetime


_LOCKED: tuple[ColumnElement[Any] | InstrumentedAttribute[Any], ...] = (
    *(getattr(SessionRow, name) for name in LockedSession._fields if name != "now"),
    func.now(),
)


async def lock_session(
    session: AsyncSession, session_id: UUID, principal: Principal, precondition: Precondition
) -> LockedSession:
    """Lock a session of the caller.

    Raises:
        NotFound: the caller has no such session.
        PreconditionFailed: it was changed in the meantime.
    """
    statement = (
        select(*_LOCKED).where(SessionRow.id == session_id, SessionRow.user_id == principal.user_id).with_for_update()
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    precondition.check(row.version)
    return LockedSession(*row)


async def read_session(connection: "Connection", session_id: UUID, user_id: UUID) -> Versioned[TrainingSession]:
    """A session of a user as this transaction sees it.

    Raises:
        NotFound: the user has no such session.
    """
    row = await connection.fetchrow(READ_SESSION, session_id, user_id)
    if row is None:
        raise NotFound
    return session_of(row)


def session_of(row: Record | Mapping[str, Any]) -> Versioned[TrainingSession]:
    """A row of SESSION_COLUMNS as a document."""
    fields = dict(row)
    version = fields.pop("version")
    fields["perceived_effort"] = shortest(fields["perceived_effort"])
    fields["exercises"] = _exercises_decoder.decode(fields["exercises"])
    return Versioned(TrainingSession(**fields), version)


async def read_exercise(connection: "Connection", child_id: int, session_id: UUID) -> Versioned[SessionExercise]:
    """An exercise of a session, which the caller of this has limited to its owner.

    Raises:
        NotFound: the session has no such exercise.
    """
    row = await connection.fetchrow(_READ_EXERCISE, child_id, session_id)
    if row is None:
        raise NotFound
    return Versioned(_exercise_decoder.decode(row["exercise"]), row["version"])


def set_of(row: Record) -> SessionSet:
    """A row of SET_COLUMNS as a document."""
    fields = dict(row)
    for name in ("weight", "distance_km", "rpe"):
        fields[name] = shortest(fields[name])
    return SessionSet(**fields)
