"""Exercises of sessions, and their sets."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from asyncpg import Connection, Record
from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.ordering import OrderedRows
from app.db.paging import Precondition, Versioned
from app.db.transaction import raw_connection
from app.domain.history.documents import SET_COLUMNS, lock_session, read_exercise, read_session, set_of
from app.domain.history.dto import (
    MAX_CHILDREN,
    NewSessionExercise,
    NewSet,
    SessionExercise,
    SessionExerciseChange,
    SessionSet,
    SetChange,
    TrainingSession,
)
from app.domain.history.models import ExerciseMode
from app.domain.history.models import TrainingSession as SessionRow
from app.domain.history.models import TrainingSessionExercise as ExerciseRow
from app.domain.history.rules import check_same, wrong_metrics
from app.errors import Conflict, NotFound, RuleBroken
from app.security.principal import Principal

__all__ = ("SessionExerciseService", "SessionSetService")

_EXERCISES = OrderedRows("training_session_exercises", "training_session_id")
_SETS = OrderedRows("training_session_sets", "session_exercise_id")

_REFERENCE = """
SELECT x.name, x.default_mode, x.is_active OR present.here AS allowed
FROM exercises x
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT FROM training_session_exercises e WHERE e.training_session_id = $3 AND e.exercise_id = x.id) AS here) present
WHERE x.id = $1 AND (x.is_system_default OR x.created_by = $2 OR present.here)
"""

_ADD_EXERCISE = """
INSERT INTO training_session_exercises
    (training_session_id, exercise_id, exercise_name_snapshot, mode_snapshot, superset_group, order_index)
SELECT $1::uuid, $2::uuid, $3::text, $4::text, $5::smallint, coalesce(max(order_index), 0) + 1
FROM training_session_exercises WHERE training_session_id = $1
HAVING count(*) < $6
RETURNING id
"""

_STORED_EXERCISE = """
SELECT e.exercise_id, e.exercise_name_snapshot AS name, e.mode_snapshot AS mode, e.superset_group,
    EXISTS (SELECT FROM training_session_sets t WHERE t.session_exercise_id = e.id) AS has_sets
FROM training_session_exercises e WHERE e.id = $1 AND e.training_session_id = $2
"""

_CHANGE_EXERCISE = """
UPDATE training_session_exercises
SET exercise_id = $2, exercise_name_snapshot = $3, mode_snapshot = $4, superset_group = $5
WHERE id = $1
"""

_DELETE_EXERCISE = "DELETE FROM training_session_exercises WHERE id = $1 AND training_session_id = $2 RETURNING id"

_ADD_SETS = f"""
INSERT INTO training_session_sets
    (session_exercise_id, mode, order_index, weight, reps_completed, time_seconds, distance_km, set_type, rpe,
    rest_seconds, completed_at, note)
SELECT parent.id, parent.mode_snapshot, parent.sets + new.place, new.weight, new.reps, new.seconds, new.km,
    new.set_type, new.rpe, new.rest, new.completed_at, new.note
FROM (
    SELECT e.id, e.mode_snapshot,
        (SELECT count(*) FROM training_session_sets t WHERE t.session_exercise_id = e.id) AS sets
    FROM training_session_exercises e WHERE e.id = $1) parent,
    ROWS FROM (json_to_recordset($2::text::json)
        AS (weight numeric, reps_completed smallint, time_seconds smallint, distance_km numeric, set_type text,
            rpe numeric, rest_seconds smallint, completed_at timestamptz, note text)) WITH ORDINALITY
    AS new (weight, reps, seconds, km, set_type, rpe, rest, completed_at, note, place)
WHERE parent.sets + json_array_length($2::text::json) <= $3
RETURNING {SET_COLUMNS}
"""  # noqa: S608

_VERSION = "SELECT version FROM training_sessions WHERE id = $1"

_DELETE_SET = "DELETE FROM training_session_sets WHERE id = $1 AND session_exercise_id = $2 RETURNING id"


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
        await lock_session(self._session, session_id, principal, precondition)
        connection = await raw_connection(self._session)
        name, mode = data.exercise_name, data.mode or ExerciseMode.REPS
        if data.exercise_id:
            reference = await reference_of(connection, data.exercise_id, principal, session_id)
            name, mode = reference["name"], data.mode or reference["default_mode"]
        values = (session_id, data.exercise_id, name, mode, data.superset_group, MAX_CHILDREN)
        child_id = await connection.fetchval(_ADD_EXERCISE, *values)
        if child_id is None:
            raise RuleBroken.of("body", f"A session has at most {MAX_CHILDREN} exercises.", "length")
        if data.position:
            await _EXERCISES.insert(connection, session_id, {child_id: data.position})
        return await read_exercise(connection, child_id, session_id)

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
        await lock_session(self._session, session_id, principal, precondition)
        connection = await raw_connection(self._session)
        stored = await connection.fetchrow(_STORED_EXERCISE, child_id, session_id)
        if stored is None:
            raise NotFound
        if data.sets is not UNSET:
            current = await read_exercise(connection, child_id, session_id)
            check_same("sets", data.sets, current.document.sets)
        exercise_id = stored["exercise_id"] if data.exercise_id is UNSET else data.exercise_id
        name = stored["name"] if data.exercise_name is UNSET else data.exercise_name
        mode = stored["mode"] if data.mode is UNSET else data.mode
        if exercise_id and exercise_id != stored["exercise_id"]:
            name = (await reference_of(connection, exercise_id, principal, session_id))["name"]
        if mode != stored["mode"] and stored["has_sets"]:
            raise Conflict("The mode can't change while the exercise has sets.")
        group = stored["superset_group"] if data.superset_group is UNSET else data.superset_group
        await connection.execute(_CHANGE_EXERCISE, child_id, exercise_id, name, mode, group)
        return await read_exercise(connection, child_id, session_id)

    async def remove(self, session_id: UUID, child_id: int, principal: Principal, precondition: Precondition) -> None:
        """Remove an exercise with its sets; those behind it move up.

        Raises:
            NotFound: the caller has no such session, or it no such exercise.
            PreconditionFailed: the session was changed in the meantime.
        """
        await lock_session(self._session, session_id, principal, precondition)
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
        await lock_session(self._session, session_id, principal, precondition)
        connection = await raw_connection(self._session)
        await _EXERCISES.reorder(connection, session_id, ids)
        return await read_session(connection, session_id, principal.user_id)


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
        if broken := [field for path, item in by_path.items() for field in wrong_metrics(mode, item, path)]:
            raise RuleBroken(broken)
        connection = await raw_connection(self._session)
        rows = await connection.fetch(_ADD_SETS, child_id, _as_rows(by_path.values()), MAX_CHILDREN)
        if not rows:
            # Full, or removed while its session's lock was waited for.
            await read_exercise(connection, child_id, session_id)
            raise RuleBroken.of("body", f"An exercise has at most {MAX_CHILDREN} sets.", "length")
        added = sorted((set_of(row) for row in rows), key=lambda item: item.order_index)
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
        if broken := wrong_metrics(mode, data, ""):
            raise RuleBroken(broken)
        given = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
        # Nothing to change still writes: that a set is of this session and exercise is seen by the same statement.
        columns = ", ".join(f"{name} = ${place}" for place, name in enumerate(given, 3)) or "weight = weight"
        row = await (await raw_connection(self._session)).fetchrow(
            f"UPDATE training_session_sets SET {columns} WHERE id = $1 AND session_exercise_id = $2 "  # noqa: S608
            f"RETURNING {SET_COLUMNS}",
            set_id,
            child_id,
            *given.values(),
        )
        if row is None:
            raise NotFound
        return Versioned(set_of(row), version + 1)

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
        return await read_exercise(connection, child_id, session_id)

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


async def reference_of(connection: "Connection", exercise_id: UUID, principal: Principal, session_id: UUID) -> Record:
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
