"""Training sessions: always the caller's own. Every statement here is limited to them.

Writers of one session lock its row first; so they take turns, and what they count and number is right. The version of
the session is kept by triggers, whichever of its rows was written.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from asyncpg import Connection, Record
from msgspec import UNSET, Struct
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.ordering import OrderedRows
from app.db.paging import CursorPage, Precondition, Versioned, decode_cursor, encode_cursor
from app.db.reader import Reader
from app.db.timezones import canonical_timezone
from app.db.transaction import raw_connection
from app.domain.history.dto import (
    MAX_CHILDREN,
    NewSession,
    NewSessionExercise,
    NewSet,
    SessionChange,
    SessionExercise,
    SessionExerciseChange,
    SessionFilters,
    SessionSet,
    SetChange,
    TrainingSession,
)
from app.domain.history.models import ExerciseMode, SessionStatus
from app.domain.history.models import TrainingSession as SessionRow
from app.domain.history.models import TrainingSessionExercise as ExerciseRow
from app.domain.system.models import TombstoneKind
from app.errors import BrokenField, Conflict, Gone, NotFound, RuleBroken
from app.http.fields import shortest
from app.security.principal import Principal

__all__ = ("SessionExerciseService", "SessionReader", "SessionService", "SessionSetService", "StartedSession")

_LONGEST_SECONDS = 2**31 - 1
_START_AHEAD = timedelta(hours=24)

_EXERCISES = OrderedRows("training_session_exercises", "training_session_id")
_SETS = OrderedRows("training_session_sets", "session_exercise_id")

_METRICS = {
    ExerciseMode.REPS: "reps_completed",
    ExerciseMode.TIME: "time_seconds",
    ExerciseMode.DISTANCE: "distance_km",
    ExerciseMode.SETS_ONLY: None,
}
"""The metric that a set of each mode may have."""

_WIRE_NAMES = {"reps_completed": "repsCompleted", "time_seconds": "timeSeconds", "distance_km": "distanceKm"}

_EXERCISE_JSON = """
json_build_object(
    'id', e.id, 'exerciseId', e.exercise_id, 'exerciseName', e.exercise_name_snapshot,
    'plannedUnitExerciseId', e.planned_unit_exercise_id, 'mode', e.mode_snapshot, 'orderIndex', e.order_index,
    'planned', json_build_object(
        'orderIndex', e.order_index_snapshot, 'targetWeight', e.target_weight_snapshot::float8, 'sets', e.sets_snapshot,
        'repsMin', e.reps_min_snapshot, 'repsMax', e.reps_max_snapshot, 'restSeconds', e.rest_seconds_snapshot,
        'targetTimeSeconds', e.target_time_seconds_snapshot,
        'targetDistanceKm', e.target_distance_km_snapshot::float8),
    'sets', coalesce((
        SELECT json_agg(json_build_object(
            'id', t.id, 'orderIndex', t.order_index, 'weight', t.weight::float8, 'repsCompleted', t.reps_completed,
            'timeSeconds', t.time_seconds, 'distanceKm', t.distance_km::float8) ORDER BY t.order_index)
        FROM training_session_sets t WHERE t.session_exercise_id = e.id), '[]'::json))
"""

_SESSION_COLUMNS = f"""
s.version, s.id, s.status, s.training_plan_id, s.training_unit_id, s.plan_unit_id, s.plan_name_snapshot AS plan_name,
s.unit_name_snapshot AS unit_name, s.day_number_snapshot AS day_number, s.start_time, s.end_time, s.user_timezone,
s.local_date, s.duration_seconds, s.notes, s.client_revision, s.created_at, s.updated_at,
coalesce((
    SELECT json_agg({_EXERCISE_JSON} ORDER BY e.order_index)
    FROM training_session_exercises e WHERE e.training_session_id = s.id), '[]'::json)::text AS exercises
"""  # noqa: S608 (every text here is a constant; values are parameters)

_READ_SESSION = f"SELECT {_SESSION_COLUMNS} FROM training_sessions s WHERE s.id = $1 AND s.user_id = $2"  # noqa: S608

_READ_EXERCISE = f"""
SELECT s.version, ({_EXERCISE_JSON})::text AS exercise
FROM training_session_exercises e JOIN training_sessions s ON s.id = e.training_session_id
WHERE e.id = $1 AND s.id = $2
"""  # noqa: S608

_LIST_SESSIONS = """
SELECT {columns}
FROM (SELECT * FROM training_sessions s WHERE {conditions} ORDER BY s.start_time DESC, s.id DESC LIMIT {limit}) s
ORDER BY s.start_time DESC, s.id DESC
"""

# Lists go as texts: on each new connection, asyncpg asks the catalogue about array types before their first use.
_FILTERS = {
    # The instants of a local date lie within a day of the same date in UTC; they let the index skip the other years.
    "since": "s.local_date >= ${0} AND s.start_time > (${0}::date - 1)::timestamp AT TIME ZONE 'UTC'",
    "until": "s.local_date <= ${0} AND s.start_time < (${0}::date + 2)::timestamp AT TIME ZONE 'UTC'",
    "status": "s.status = ANY (string_to_array(${0}, ','))",
    "training_plan_id": "s.training_plan_id = ANY (string_to_array(${0}, ',')::uuid[])",
    "training_unit_id": "s.training_unit_id = ANY (string_to_array(${0}, ',')::uuid[])",
    "exercise_id": "EXISTS (SELECT FROM training_session_exercises e "
    "WHERE e.training_session_id = s.id AND e.exercise_id = ANY (string_to_array(${0}, ',')::uuid[]))",
}

_WAS_DELETED = "SELECT EXISTS (SELECT FROM tombstone WHERE user_id = $1 AND kind = $2 AND id = $3)"

_CHANGE_SESSION = """
UPDATE training_sessions
SET status = $2, start_time = $3, end_time = $4, duration_seconds = $5, user_timezone = $6, notes = $7
WHERE id = $1
"""

_DELETE_SESSION = """
WITH gone AS (DELETE FROM training_sessions WHERE id = $1 RETURNING id, user_id)
INSERT INTO tombstone (user_id, kind, id) SELECT user_id, $2, id FROM gone
"""

_REFERENCE = """
SELECT x.name, x.default_mode, x.is_active OR present.here AS allowed
FROM exercises x
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT FROM training_session_exercises e WHERE e.training_session_id = $3 AND e.exercise_id = x.id) AS here) present
WHERE x.id = $1 AND (x.is_system_default OR x.created_by = $2 OR present.here)
"""

_ADD_EXERCISE = """
INSERT INTO training_session_exercises
    (training_session_id, exercise_id, exercise_name_snapshot, mode_snapshot, order_index)
SELECT $1::uuid, $2::uuid, $3::text, $4::text, coalesce(max(order_index), 0) + 1
FROM training_session_exercises WHERE training_session_id = $1
HAVING count(*) < $5
RETURNING id
"""

_STORED_EXERCISE = """
SELECT e.exercise_id, e.exercise_name_snapshot AS name, e.mode_snapshot AS mode,
    EXISTS (SELECT FROM training_session_sets t WHERE t.session_exercise_id = e.id) AS has_sets
FROM training_session_exercises e WHERE e.id = $1 AND e.training_session_id = $2
"""

_CHANGE_EXERCISE = """
UPDATE training_session_exercises SET exercise_id = $2, exercise_name_snapshot = $3, mode_snapshot = $4 WHERE id = $1
"""

_DELETE_EXERCISE = "DELETE FROM training_session_exercises WHERE id = $1 AND training_session_id = $2 RETURNING id"

_SET_COLUMNS = "id, order_index, weight::float8, reps_completed, time_seconds, distance_km::float8"

_ADD_SETS = f"""
INSERT INTO training_session_sets
    (session_exercise_id, mode, order_index, weight, reps_completed, time_seconds, distance_km)
SELECT parent.id, parent.mode_snapshot, parent.sets + new.place, new.weight, new.reps, new.seconds, new.km
FROM (
    SELECT e.id, e.mode_snapshot,
        (SELECT count(*) FROM training_session_sets t WHERE t.session_exercise_id = e.id) AS sets
    FROM training_session_exercises e WHERE e.id = $1) parent,
    ROWS FROM (json_to_recordset($2::text::json)
        AS (weight numeric, reps_completed smallint, time_seconds smallint, distance_km numeric)) WITH ORDINALITY
    AS new (weight, reps, seconds, km, place)
WHERE parent.sets + json_array_length($2::text::json) <= $3
RETURNING {_SET_COLUMNS}
"""  # noqa: S608

_VERSION = "SELECT version FROM training_sessions WHERE id = $1"

_DELETE_SET = "DELETE FROM training_session_sets WHERE id = $1 AND session_exercise_id = $2 RETURNING id"

_exercises_decoder = msgspec.json.Decoder(list[SessionExercise])
_exercise_decoder = msgspec.json.Decoder(SessionExercise)


class StartedSession(Struct, frozen=True):
    """The outcome of a start.

    Attributes:
        is_new: false when this id was there already, and nothing was changed.
    """

    session: Versioned[TrainingSession]
    is_new: bool


class _Stored(NamedTuple):
    """A session's row, which this transaction has locked, and when the transaction began."""

    version: int
    status: SessionStatus
    start_time: datetime
    end_time: datetime | None
    user_timezone: str
    notes: str | None
    now: datetime


async def _lock(session: AsyncSession, session_id: UUID, principal: Principal, precondition: Precondition) -> _Stored:
    """Lock a session of the caller.

    Raises:
        NotFound: the caller has no such session.
        PreconditionFailed: it was changed in the meantime.
    """
    statement = (
        select(
            SessionRow.version,
            SessionRow.status,
            SessionRow.start_time,
            SessionRow.end_time,
            SessionRow.user_timezone,
            SessionRow.notes,
            func.now(),
        )
        .where(SessionRow.id == session_id, SessionRow.user_id == principal.user_id)
        .with_for_update()
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    precondition.check(row.version)
    return _Stored(*row)


async def _read_session(connection: "Connection", session_id: UUID, user_id: UUID) -> Versioned[TrainingSession]:
    row = await connection.fetchrow(_READ_SESSION, session_id, user_id)
    if row is None:
        raise NotFound
    return _session(row)


def _session(row: Record) -> Versioned[TrainingSession]:
    fields = dict(row)
    version = fields.pop("version")
    fields["exercises"] = _exercises_decoder.decode(fields["exercises"])
    return Versioned(TrainingSession(**fields), version)


async def _read_exercise(connection: "Connection", child_id: int, session_id: UUID) -> Versioned[SessionExercise]:
    row = await connection.fetchrow(_READ_EXERCISE, child_id, session_id)
    if row is None:
        raise NotFound
    return Versioned(_exercise_decoder.decode(row["exercise"]), row["version"])


class SessionReader:
    """Reads the training sessions of the caller, each time in one statement."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def find(
        self, principal: Principal, filters: SessionFilters, cursor: str | None, limit: int
    ) -> CursorPage[TrainingSession]:
        """A part of the history, newest first.

        Raises:
            RuleBroken: the cursor is not one of this list.
        """
        conditions: list[str] = ["s.user_id = $1"]
        values: list[object] = [principal.user_id]
        for name, condition in _FILTERS.items():
            if wanted := getattr(filters, name):
                values.append(",".join(map(str, wanted)) if isinstance(wanted, tuple) else wanted)
                conditions.append(condition.format(len(values)))
        if cursor:
            values += _position(cursor, filters)
            conditions.append(f"(s.start_time, s.id) < (${len(values) - 1}, ${len(values)})")
        values.append(limit + 1)
        statement = _LIST_SESSIONS.format(
            columns=_SESSION_COLUMNS, conditions=" AND ".join(conditions), limit=f"${len(values)}"
        )
        rows = await self._reader.fetch(statement, *values)
        items = [_session(row).document for row in rows[:limit]]
        behind = _cursor(items[-1], filters) if len(rows) > limit else None
        return CursorPage(items=items, next_cursor=behind, limit=limit)

    async def read(self, session_id: UUID, principal: Principal) -> Versioned[TrainingSession]:
        """One session with its exercises and sets.

        Raises:
            NotFound: the caller has no such session.
        """
        row = await self._reader.fetchrow(_READ_SESSION, session_id, principal.user_id)
        if row is None:
            raise NotFound
        return _session(row)


class SessionService:
    """Begins, corrects, ends and deletes training sessions of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def start(self, data: NewSession, principal: Principal) -> StartedSession:
        """Begin a session. An id that is there already answers with what is stored, and changes nothing.

        Raises:
            Gone: a session of this id was deleted.
            NotFound: there is no such template, or the id is somebody else's.
            RuleBroken: the time zone is unknown, or the start lies too far ahead.
        """
        if data.training_plan_id or data.training_unit_id or data.plan_unit_id:
            # Nothing makes templates yet, so every id of one is unknown.
            raise NotFound("There is no such training plan or unit.")
        zone = principal.timezone
        if data.user_timezone:
            zone = await canonical_timezone(self._session, data.user_timezone, "userTimezone")
        values: dict[str, Any] = {"notes": data.notes}
        if data.start_time:
            _check_start(data.start_time, datetime.now(UTC))
            values["start_time"] = data.start_time
        session_id = data.id or uuid7()
        statement = (
            insert(SessionRow)
            .values(id=session_id, user_id=principal.user_id, user_timezone=zone, **values)
            .on_conflict_do_nothing(index_elements=["id"])
            .returning(SessionRow.id)
        )
        is_new = (await self._session.execute(statement)).one_or_none() is not None
        connection = await raw_connection(self._session)
        row = await connection.fetchrow(_READ_SESSION, session_id, principal.user_id)
        # Asked last, so that a deletion of this id which ends meanwhile is seen.
        stone = (principal.user_id, TombstoneKind.TRAINING_SESSION, session_id)
        if data.id and await connection.fetchval(_WAS_DELETED, *stone):
            raise Gone
        if row is None:
            raise NotFound
        return StartedSession(_session(row), is_new)

    async def change(
        self, session_id: UUID, data: SessionChange, principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingSession]:
        """Correct a session of any status; its duration follows its times.

        Raises:
            NotFound: the caller has no such session.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: the times fit neither each other nor the status, the time zone is unknown, or exercises differ.
        """
        zone = None
        if data.user_timezone is not UNSET:
            zone = await canonical_timezone(self._session, data.user_timezone, "userTimezone")
        stored = await _lock(self._session, session_id, principal, precondition)
        if data.exercises is not UNSET:
            current = await _read_session(await raw_connection(self._session), session_id, principal.user_id)
            _check_same("exercises", data.exercises, current.document.exercises)
        start = stored.start_time
        if data.start_time is not UNSET:
            _check_start(data.start_time, stored.now)
            start = data.start_time
        changed = stored._replace(
            start_time=start,
            end_time=stored.end_time if data.end_time is UNSET else data.end_time,
            user_timezone=zone or stored.user_timezone,
            notes=stored.notes if data.notes is UNSET else data.notes,
        )
        return await self._store(session_id, changed, principal)

    async def complete(
        self, session_id: UUID, end_time: datetime | None, principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingSession]:
        """End a session as done, now or at a given time.

        Raises:
            Conflict: it is not in progress.
            NotFound: the caller has no such session.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: it would end before it starts.
        """
        stored = await self._lock_in_progress(session_id, principal, precondition)
        changed = stored._replace(status=SessionStatus.COMPLETED, end_time=end_time or stored.now)
        return await self._store(session_id, changed, principal)

    async def abort(
        self, session_id: UUID, principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingSession]:
        """End a session as given up: now, or at its start where that lies ahead.

        Raises:
            Conflict: it is not in progress.
            NotFound: the caller has no such session.
            PreconditionFailed: it was changed in the meantime.
        """
        stored = await self._lock_in_progress(session_id, principal, precondition)
        end = max(stored.now, stored.start_time)
        return await self._store(session_id, stored._replace(status=SessionStatus.ABORTED, end_time=end), principal)

    async def delete(self, session_id: UUID, principal: Principal, precondition: Precondition) -> None:
        """Delete a session for good; its id is never used again.

        Raises:
            NotFound: the caller has no such session.
            PreconditionFailed: it was changed in the meantime.
        """
        await _lock(self._session, session_id, principal, precondition)
        await (await raw_connection(self._session)).execute(_DELETE_SESSION, session_id, TombstoneKind.TRAINING_SESSION)

    async def _lock_in_progress(self, session_id: UUID, principal: Principal, precondition: Precondition) -> _Stored:
        stored = await _lock(self._session, session_id, principal, precondition)
        if stored.status != SessionStatus.IN_PROGRESS:
            raise Conflict(f"This session is {stored.status} already.")
        return stored

    async def _store(self, session_id: UUID, changed: _Stored, principal: Principal) -> Versioned[TrainingSession]:
        duration = _duration(changed.status, changed.start_time, changed.end_time)
        connection = await raw_connection(self._session)
        await connection.execute(
            _CHANGE_SESSION,
            session_id,
            changed.status,
            changed.start_time,
            changed.end_time,
            duration,
            changed.user_timezone,
            changed.notes,
        )
        return await _read_session(connection, session_id, principal.user_id)


class SessionExerciseService:
    """The exercises of one session of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(
        self, session_id: UUID, data: NewSessionExercise, principal: Principal, precondition: Precondition
    ) -> Versioned[SessionExercise]:
        """Add an exercise at a position, or at the end.

        Raises:
            NotFound: the caller has no such session, or may not refer to this exercise.
            PreconditionFailed: the session was changed in the meantime.
            RuleBroken: the exercise is archived, or the session is full.
        """
        await _lock(self._session, session_id, principal, precondition)
        connection = await raw_connection(self._session)
        name, mode = data.exercise_name, data.mode or ExerciseMode.REPS
        if data.exercise_id:
            reference = await _reference(connection, data.exercise_id, principal, session_id)
            name, mode = reference["name"], data.mode or reference["default_mode"]
        child_id = await connection.fetchval(_ADD_EXERCISE, session_id, data.exercise_id, name, mode, MAX_CHILDREN)
        if child_id is None:
            raise RuleBroken.of("body", f"A session has at most {MAX_CHILDREN} exercises.", "length")
        if data.position:
            await _EXERCISES.insert(connection, session_id, {child_id: data.position})
        return await _read_exercise(connection, child_id, session_id)

    async def change(
        self,
        session_id: UUID,
        child_id: int,
        data: SessionExerciseChange,
        principal: Principal,
        precondition: Precondition,
    ) -> Versioned[SessionExercise]:
        """Swap, rename or correct an exercise.

        Raises:
            Conflict: the mode of an exercise with sets would change.
            NotFound: the caller has no such session or exercise in it, or may not refer to the new exercise.
            PreconditionFailed: the session was changed in the meantime.
            RuleBroken: the new exercise is archived, or sets differ.
        """
        await _lock(self._session, session_id, principal, precondition)
        connection = await raw_connection(self._session)
        stored = await connection.fetchrow(_STORED_EXERCISE, child_id, session_id)
        if stored is None:
            raise NotFound
        if data.sets is not UNSET:
            current = await _read_exercise(connection, child_id, session_id)
            _check_same("sets", data.sets, current.document.sets)
        exercise_id = stored["exercise_id"] if data.exercise_id is UNSET else data.exercise_id
        name = stored["name"] if data.exercise_name is UNSET else data.exercise_name
        mode = stored["mode"] if data.mode is UNSET else data.mode
        if exercise_id and exercise_id != stored["exercise_id"]:
            name = (await _reference(connection, exercise_id, principal, session_id))["name"]
        if mode != stored["mode"] and stored["has_sets"]:
            raise Conflict("The mode can't change while the exercise has sets.")
        await connection.execute(_CHANGE_EXERCISE, child_id, exercise_id, name, mode)
        return await _read_exercise(connection, child_id, session_id)

    async def remove(self, session_id: UUID, child_id: int, principal: Principal, precondition: Precondition) -> None:
        """Remove an exercise with its sets; those behind it move up.

        Raises:
            NotFound: the caller has no such session, or it no such exercise.
            PreconditionFailed: the session was changed in the meantime.
        """
        await _lock(self._session, session_id, principal, precondition)
        connection = await raw_connection(self._session)
        if await connection.fetchval(_DELETE_EXERCISE, child_id, session_id) is None:
            raise NotFound
        await _EXERCISES.close_gaps(connection, session_id)

    async def reorder(
        self, session_id: UUID, ids: Sequence[int], principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingSession]:
        """Put the exercises into another order.

        Raises:
            NotFound: the caller has no such session.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: the ids are not those of all its exercises, each once.
        """
        await _lock(self._session, session_id, principal, precondition)
        connection = await raw_connection(self._session)
        await _EXERCISES.reorder(connection, session_id, ids)
        return await _read_session(connection, session_id, principal.user_id)


class SessionSetService:
    """The sets of one exercise in a session of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(
        self,
        session_id: UUID,
        child_id: int,
        data: NewSet | list[NewSet],
        principal: Principal,
        precondition: Precondition,
    ) -> Versioned[SessionSet | list[SessionSet]]:
        """Add one set, or several in their order: all or none. At the end, it takes two statements.

        Raises:
            NotFound: the caller has no such session, or it no such exercise.
            PreconditionFailed: the session was changed in the meantime.
            RuleBroken: a metric is not the mode's, or the exercise is full.
        """
        version, mode = await self._lock(session_id, child_id, principal, precondition)
        by_path = {"": data} if isinstance(data, NewSet) else {f"[{place}].": item for place, item in enumerate(data)}
        if broken := [field for path, item in by_path.items() for field in _wrong_metrics(mode, item, path)]:
            raise RuleBroken(broken)
        connection = await raw_connection(self._session)
        rows = await connection.fetch(_ADD_SETS, child_id, _as_rows(by_path.values()), MAX_CHILDREN)
        if not rows:
            # Full, or removed while its session's lock was waited for.
            await _read_exercise(connection, child_id, session_id)
            raise RuleBroken.of("body", f"An exercise has at most {MAX_CHILDREN} sets.", "length")
        added = sorted((_set_of(row) for row in rows), key=lambda item: item.order_index)
        # One statement wrote sets, so the triggers raised the version once.
        version += 1
        if any(item.position for item in by_path.values()):
            places = {row.id: item.position for row, item in zip(added, by_path.values(), strict=True)}
            order = await _SETS.insert(connection, child_id, places)
            added = [msgspec.structs.replace(row, order_index=order.index(row.id) + 1) for row in added]
            version = await connection.fetchval(_VERSION, session_id)
        return Versioned(added[0] if isinstance(data, NewSet) else added, version)

    async def change(
        self,
        session_id: UUID,
        child_id: int,
        set_id: int,
        data: SetChange,
        principal: Principal,
        precondition: Precondition,
    ) -> Versioned[SessionSet]:
        """Correct a set.

        Raises:
            NotFound: the caller has no such session, it no such exercise, or that no such set.
            PreconditionFailed: the session was changed in the meantime.
            RuleBroken: a metric is not the mode's.
        """
        version, mode = await self._lock(session_id, child_id, principal, precondition)
        if broken := _wrong_metrics(mode, data, ""):
            raise RuleBroken(broken)
        given = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
        # Nothing to change still writes: that a set is of this session and exercise is seen by the same statement.
        columns = ", ".join(f"{name} = ${place}" for place, name in enumerate(given, 3)) or "weight = weight"
        row = await (await raw_connection(self._session)).fetchrow(
            f"UPDATE training_session_sets SET {columns} WHERE id = $1 AND session_exercise_id = $2 "  # noqa: S608
            f"RETURNING {_SET_COLUMNS}",
            set_id,
            child_id,
            *given.values(),
        )
        if row is None:
            raise NotFound
        return Versioned(_set_of(row), version + 1)

    async def remove(
        self, session_id: UUID, child_id: int, set_id: int, principal: Principal, precondition: Precondition
    ) -> None:
        """Remove a set; those behind it move up.

        Raises:
            NotFound: the caller has no such session, it no such exercise, or that no such set.
            PreconditionFailed: the session was changed in the meantime.
        """
        await self._lock(session_id, child_id, principal, precondition)
        connection = await raw_connection(self._session)
        if await connection.fetchval(_DELETE_SET, set_id, child_id) is None:
            raise NotFound
        await _SETS.close_gaps(connection, child_id)

    async def reorder(
        self, session_id: UUID, child_id: int, ids: Sequence[int], principal: Principal, precondition: Precondition
    ) -> Versioned[SessionExercise]:
        """Put the sets into another order.

        Raises:
            NotFound: the caller has no such session, or it no such exercise.
            PreconditionFailed: the session was changed in the meantime.
            RuleBroken: the ids are not those of all its sets, each once.
        """
        await self._lock(session_id, child_id, principal, precondition)
        connection = await raw_connection(self._session)
        await _SETS.reorder(connection, child_id, ids)
        return await _read_exercise(connection, child_id, session_id)

    async def _lock(
        self, session_id: UUID, child_id: int, principal: Principal, precondition: Precondition
    ) -> tuple[int, ExerciseMode]:
        """Lock the session of an exercise; its version, and the mode of the exercise."""
        statement = (
            select(SessionRow.version, ExerciseRow.mode_snapshot)
            .join(ExerciseRow, ExerciseRow.training_session_id == SessionRow.id)
            .where(
                SessionRow.id == session_id,
                SessionRow.user_id == principal.user_id,
                ExerciseRow.id == child_id,
            )
            .with_for_update(of=SessionRow)
        )
        row = (await self._session.execute(statement)).one_or_none()
        if row is None:
            raise NotFound
        precondition.check(row.version)
        return row.version, ExerciseMode(row.mode_snapshot)


async def _reference(connection: "Connection", exercise_id: UUID, principal: Principal, session_id: UUID) -> Record:
    """The name and default mode of an exercise that the session may refer to: a system one, the caller's own, or one
    that it has already.

    Raises:
        NotFound: there is none, or it is somebody else's.
        RuleBroken: it is archived, and new to the session.
    """
    row = await connection.fetchrow(_REFERENCE, exercise_id, principal.user_id, session_id)
    if row is None:
        raise NotFound("There is no such exercise.")
    if not row["allowed"]:
        raise RuleBroken.of("exerciseId", "This exercise is archived.")
    return row


def _as_rows(sets: Iterable[NewSet]) -> str:
    """Sets as JSON, decimals as texts."""
    return msgspec.json.encode([msgspec.structs.asdict(item) for item in sets], enc_hook=str).decode()


def _set_of(row: Record) -> SessionSet:
    set_id, order_index, weight, reps_completed, time_seconds, distance_km = row
    return SessionSet(set_id, order_index, shortest(weight), reps_completed, time_seconds, shortest(distance_km))


def _wrong_metrics(mode: ExerciseMode, data: NewSet | SetChange, path: str) -> list[BrokenField]:
    """The metrics of a set that are not its mode's."""
    return [
        BrokenField("rule", path + wire, f"Sets of an exercise in the mode {mode} have no {wire}.")
        for name, wire in _WIRE_NAMES.items()
        if name != _METRICS[mode] and getattr(data, name) not in (None, UNSET)
    ]


def _check_same(field: str, sent: Sequence[Struct], stored: Sequence[Struct]) -> None:
    """Children may be sent back with their parent, as they are."""
    if sent != stored:
        raise RuleBroken.of(field, f"The {field} differ from what is stored; change them through their own routes.")


def _check_start(start: datetime, now: datetime) -> None:
    if start > now + _START_AHEAD:
        raise RuleBroken.of("startTime", "A session starts at most 24 hours ahead.", "range")


def _duration(status: SessionStatus, start: datetime, end: datetime | None) -> int | None:
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


def _cursor(last: TrainingSession, filters: SessionFilters) -> str:
    return encode_cursor((last.start_time.isoformat(), str(last.id)), filters)


def _position(cursor: str, filters: SessionFilters) -> tuple[datetime, UUID]:
    moment, session_id = decode_cursor(cursor, filters, 2)
    try:
        start = datetime.fromisoformat(str(moment))
        return start.astimezone(UTC), UUID(str(session_id))
    except (ValueError, OverflowError):
        raise RuleBroken.of("cursor", "This is not a cursor of this list.", "pattern") from None
