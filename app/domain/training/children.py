"""Exercises of units, and units of plans.

Whoever writes them has locked the row of the unit or plan. Rows change places through negative values, because the
unique constraint on their places is checked row by row.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Connection
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.ordering import OrderedRows
from app.db.paging import Precondition, Versioned
from app.db.transaction import raw_connection
from app.domain.training.access import PLANS, UNITS, Verb, access_of, lock
from app.domain.training.copies import copy_units, free_names, hold_names
from app.domain.training.documents import (
    PLAN_DOCUMENTS,
    UNIT_DOCUMENTS,
    read_document,
    read_plan_unit,
    read_unit_exercise,
)
from app.domain.training.dto import (
    MAX_EXERCISES,
    DayOrder,
    NewPlanUnit,
    NewUnitExercise,
    PlanUnit,
    PlanUnitChange,
    PlanUnitDocument,
    PlanUnitEntry,
    TrainingPlan,
    TrainingUnit,
    UnitExercise,
    UnitExerciseChange,
    UnitExerciseDocument,
    UnitExerciseEntry,
)
from app.domain.training.matching import match_rows
from app.domain.training.models import MAX_UNITS
from app.errors import BrokenField, Forbidden, NotFound, RuleBroken
from app.security.principal import Principal

__all__ = ("PlanUnitService", "UnitExerciseService", "replace_exercises", "replace_plan_units")

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_EXERCISES: Final = OrderedRows("training_unit_exercises", "training_unit_id")

_TARGETS: Final = (
    "target_weight",
    "sets",
    "reps_min",
    "reps_max",
    "target_time_seconds",
    "target_distance_km",
    "rest_seconds",
    "superset_group",
)
_COLUMNS: Final = ("exercise_id", "exercise_name_snapshot", "mode", "unit_exercise_notes", *_TARGETS)

_WANTED_EXERCISES: Final = """
wanted AS (
    SELECT * FROM json_to_recordset($2::text::json) AS w (
        id integer, order_index smallint, exercise_id uuid, exercise_name_snapshot text, mode text,
        unit_exercise_notes text, target_weight numeric, sets smallint, reps_min smallint, reps_max smallint,
        target_time_seconds smallint, target_distance_km numeric, rest_seconds smallint, superset_group smallint)
)
"""

_REPLACE_EXERCISES: Final = f"""
WITH {_WANTED_EXERCISES}, gone AS (
    DELETE FROM training_unit_exercises e
    WHERE e.training_unit_id = $1 AND NOT EXISTS (SELECT FROM wanted w WHERE w.id = e.id)
), kept AS (
    UPDATE training_unit_exercises e
    SET order_index = -w.order_index, {", ".join(f"{column} = w.{column}" for column in _COLUMNS)}
    FROM wanted w WHERE e.training_unit_id = $1 AND e.id = w.id
)
INSERT INTO training_unit_exercises (training_unit_id, order_index, {", ".join(_COLUMNS)})
SELECT $1, -w.order_index, {", ".join(f"w.{column}" for column in _COLUMNS)}
FROM wanted w WHERE w.id IS NULL ORDER BY w.order_index
"""

_ADD_EXERCISE: Final = f"""
WITH {_WANTED_EXERCISES}
INSERT INTO training_unit_exercises (training_unit_id, order_index, {", ".join(_COLUMNS)})
SELECT $1, place.last + 1, {", ".join(f"w.{column}" for column in _COLUMNS)}
FROM wanted w, (
    SELECT coalesce(max(order_index), 0) AS last FROM training_unit_exercises WHERE training_unit_id = $1) place
WHERE place.last < {MAX_EXERCISES}
RETURNING id
"""

_CHANGE_EXERCISE: Final = f"""
WITH {_WANTED_EXERCISES}
UPDATE training_unit_exercises e SET {", ".join(f"{column} = w.{column}" for column in _COLUMNS)}
FROM wanted w WHERE e.training_unit_id = $1 AND e.id = w.id
"""

_TURN_EXERCISES: Final = """
UPDATE training_unit_exercises SET order_index = -order_index WHERE training_unit_id = $1 AND order_index < 0
"""

_DELETE_EXERCISE: Final = "DELETE FROM training_unit_exercises WHERE id = $1 AND training_unit_id = $2 RETURNING id"

_STORED_EXERCISES: Final = """
SELECT id, exercise_id, exercise_name_snapshot AS name FROM training_unit_exercises
WHERE training_unit_id = $1 ORDER BY order_index
"""

_REFERENCES: Final = """
SELECT x.id, x.name, x.is_active FROM exercises x
WHERE x.id IN (SELECT value::uuid FROM json_array_elements_text($1::text::json) AS wanted (value))
    AND (x.is_system_default OR x.created_by = $2
        OR x.id IN (SELECT value::uuid FROM json_array_elements_text($3::text::json) AS present (value)))
"""

_Stored = Mapping[int, tuple[UUID | None, str]]
"""The exercise and the name of each row of a unit."""


async def replace_exercises(
    connection: "Connection",
    unit_id: UUID,
    entries: Sequence[UnitExerciseEntry | UnitExerciseDocument],
    principal: Principal,
) -> None:
    """Make these the exercises of a unit, in this order; rows that stay are updated in place.

    Raises:
        NotFound: an exercise is unknown, or somebody else's and new to the unit.
        RuleBroken: an exercise is archived and new to the unit, or an id is none of this unit.
    """
    stored = await _stored_exercises(connection, unit_id)
    sent = [entry.id if isinstance(entry, UnitExerciseDocument) else None for entry in entries]
    rows = match_rows("exercises", sent, list(stored))
    paths = [f"exercises[{place}]." for place in range(len(entries))]
    names = await _names(connection, dict(zip(paths, entries, strict=True)), rows, stored, principal)
    wanted = [
        _columns(entry, name, row_id, place)
        for place, (entry, name, row_id) in enumerate(zip(entries, names, rows, strict=True), 1)
    ]
    await connection.execute(_REPLACE_EXERCISES, unit_id, _as_json(wanted))
    await connection.execute(_TURN_EXERCISES, unit_id)


async def _stored_exercises(connection: "Connection", unit_id: UUID) -> _Stored:
    rows = await connection.fetch(_STORED_EXERCISES, unit_id)
    return {row["id"]: (row["exercise_id"], row["name"]) for row in rows}


async def _names(
    connection: "Connection",
    entries: Mapping[str, UnitExerciseEntry],
    rows: Sequence[int | None],
    stored: _Stored,
    principal: Principal,
) -> list[str]:
    """The name that each entry stores: that of its row while the exercise is the same, else the exercise's own.

    Args:
        entries: by their wire paths.
        rows: the stored row that each entry is.
    """
    kept = [
        stored[row_id][1] if row_id is not None and stored[row_id][0] == entry.exercise_id is not None else None
        for entry, row_id in zip(entries.values(), rows, strict=True)
    ]
    new = {
        path: entry.exercise_id
        for (path, entry), name in zip(entries.items(), kept, strict=True)
        if name is None and entry.exercise_id is not None
    }
    present = {exercise_id for exercise_id, _ in stored.values() if exercise_id is not None}
    found = await _references(connection, new, present, principal)
    return [
        name or (found[entry.exercise_id] if entry.exercise_id else str(entry.exercise_name))
        for entry, name in zip(entries.values(), kept, strict=True)
    ]


async def _references(
    connection: "Connection", wanted: Mapping[str, UUID], present: set[UUID], principal: Principal
) -> dict[UUID, str]:
    """The names of exercises that the caller may refer to, or that the unit has already."""
    if not wanted:
        return {}
    rows = await connection.fetch(
        _REFERENCES, _as_json(sorted(set(wanted.values()))), principal.user_id, _as_json(sorted(present))
    )
    names = {row["id"]: row["name"] for row in rows}
    archived = {row["id"] for row in rows if not row["is_active"]} - present
    if unknown := set(wanted.values()) - names.keys():
        raise NotFound(f"There is no such exercise: {', '.join(map(str, sorted(unknown)))}.")
    broken = [
        BrokenField("rule", f"{path}exerciseId", "This exercise is archived.")
        for path, exercise_id in wanted.items()
        if exercise_id in archived
    ]
    if broken:
        raise RuleBroken(broken)
    return names


def _columns(entry: UnitExerciseEntry, name: str, row_id: int | None, place: int) -> dict[str, object]:
    return {
        "id": row_id,
        "order_index": place,
        "exercise_id": entry.exercise_id,
        "exercise_name_snapshot": name,
        "mode": entry.mode,
        "unit_exercise_notes": entry.notes,
        **{column: getattr(entry, column) for column in _TARGETS},
    }


def _as_json(values: object) -> str:
    """As one text: on each new connection, asyncpg asks the catalogue about array types before their first use."""
    return msgspec.json.encode(values, enc_hook=str).decode()


class UnitExerciseService:
    """The exercises of one unit that the caller may write."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(
        self, unit_id: UUID, data: NewUnitExercise, principal: Principal, precondition: Precondition
    ) -> Versioned[UnitExercise]:
        """Add an exercise at a position, or at the end.

        Raises:
            NotFound: there is no such unit, or no such exercise that the caller may refer to.
            Forbidden: the caller may only read the unit.
            PreconditionFailed: the unit was changed in the meantime.
            RuleBroken: the exercise is archived, or the unit is full.
        """
        locked = await lock(self._session, UNITS, unit_id, principal, Verb.WRITE, precondition)
        connection = await raw_connection(self._session)
        stored = await _stored_exercises(connection, unit_id)
        [name] = await _names(connection, {"": data}, [None], stored, principal)
        child_id = await connection.fetchval(_ADD_EXERCISE, unit_id, _as_json([_columns(data, name, None, 0)]))
        if child_id is None:
            raise RuleBroken.of("body", f"A unit has at most {MAX_EXERCISES} exercises.", "length")
        if data.position:
            await _EXERCISES.insert(connection, unit_id, {child_id: data.position})
        return await read_unit_exercise(connection, child_id, unit_id, locked.access)

    async def change(
        self, unit_id: UUID, child_id: int, change: UnitExerciseChange, principal: Principal, precondition: Precondition
    ) -> Versioned[UnitExercise]:
        """Change an exercise; the whole of it is checked as when it is added.

        Raises:
            NotFound: there is no such unit, it has no such exercise, or the new one may not be referred to.
            Forbidden: the caller may only read the unit.
            PreconditionFailed: the unit was changed in the meantime.
            RuleBroken: the exercise is archived, or as a whole breaks a rule.
        """
        locked = await lock(self._session, UNITS, unit_id, principal, Verb.WRITE, precondition)
        connection = await raw_connection(self._session)
        before = (await read_unit_exercise(connection, child_id, unit_id, locked.access)).document
        entry = _merged(before, change)
        stored = await _stored_exercises(connection, unit_id)
        [name] = await _names(connection, {"": entry}, [child_id], stored, principal)
        await connection.execute(_CHANGE_EXERCISE, unit_id, _as_json([_columns(entry, name, child_id, 0)]))
        return await read_unit_exercise(connection, child_id, unit_id, locked.access)

    async def remove(self, unit_id: UUID, child_id: int, principal: Principal, precondition: Precondition) -> None:
        """Remove an exercise; those behind it move up.

        Raises:
            NotFound: there is no such unit, or it has no such exercise.
            Forbidden: the caller may only read the unit.
            PreconditionFailed: the unit was changed in the meantime.
        """
        await lock(self._session, UNITS, unit_id, principal, Verb.WRITE, precondition)
        connection = await raw_connection(self._session)
        if await connection.fetchval(_DELETE_EXERCISE, child_id, unit_id) is None:
            raise NotFound
        await _EXERCISES.close_gaps(connection, unit_id)

    async def reorder(
        self, unit_id: UUID, ids: Sequence[int], principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingUnit]:
        """Put the exercises into another order.

        Raises:
            NotFound: there is no such unit.
            Forbidden: the caller may only read it.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: the ids are not those of all its exercises, each once.
        """
        await lock(self._session, UNITS, unit_id, principal, Verb.WRITE, precondition)
        connection = await raw_connection(self._session)
        await _EXERCISES.reorder(connection, unit_id, ids)
        return await read_document(connection, UNIT_DOCUMENTS, unit_id, principal)


def _merged(before: UnitExercise, change: UnitExerciseChange) -> UnitExerciseEntry:
    """An exercise with its changes; without an exercise of the catalogue, its name stays."""
    fields = {name: getattr(before, name) for name in UnitExerciseEntry.__struct_fields__}
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    return UnitExerciseEntry(**{**fields, **given})


_DAYS: Final = """
SELECT id, training_unit_id, day_number FROM training_plan_units WHERE training_plan_id = $1
ORDER BY day_number, order_index
"""

_WANTED_UNITS: Final = """
wanted AS (
    SELECT * FROM json_to_recordset($2::text::json)
        AS w (id integer, training_unit_id uuid, day_number smallint, order_index smallint)
)
"""

_REPLACE_PLAN_UNITS: Final = f"""
WITH {_WANTED_UNITS}, gone AS (
    DELETE FROM training_plan_units d
    WHERE d.training_plan_id = $1 AND NOT EXISTS (SELECT FROM wanted w WHERE w.id = d.id)
), kept AS (
    UPDATE training_plan_units d
    SET training_unit_id = w.training_unit_id, day_number = w.day_number, order_index = -w.order_index
    FROM wanted w WHERE d.training_plan_id = $1 AND d.id = w.id
)
INSERT INTO training_plan_units (training_plan_id, training_unit_id, day_number, order_index)
SELECT $1, w.training_unit_id, w.day_number, -w.order_index
FROM wanted w WHERE w.id IS NULL ORDER BY w.day_number, w.order_index
"""

_ARRANGE_PLAN_UNITS: Final = f"""
WITH {_WANTED_UNITS}
UPDATE training_plan_units d SET day_number = w.day_number, order_index = -w.order_index
FROM wanted w
WHERE d.training_plan_id = $1 AND d.id = w.id
    AND (d.day_number, d.order_index) IS DISTINCT FROM (w.day_number, w.order_index)
"""

_TURN_PLAN_UNITS: Final = """
UPDATE training_plan_units SET order_index = -order_index WHERE training_plan_id = $1 AND order_index < 0
"""

_ADD_PLAN_UNIT: Final = """
INSERT INTO training_plan_units (training_plan_id, training_unit_id, day_number, order_index)
SELECT $1::uuid, $2::uuid, $3::smallint, coalesce(max(order_index) FILTER (WHERE day_number = $3::smallint), 0) + 1
FROM training_plan_units WHERE training_plan_id = $1 HAVING count(*) < $4
RETURNING id
"""

_SWAP_UNIT: Final = "UPDATE training_plan_units SET training_unit_id = $2 WHERE id = $1"

_DELETE_PLAN_UNIT: Final = "DELETE FROM training_plan_units WHERE id = $1 AND training_plan_id = $2 RETURNING id"

_READABLE_UNITS: Final = f"""
SELECT u.id, u.name, u.created_by FROM training_units u
WHERE u.id IN (SELECT value::uuid FROM json_array_elements_text($1::text::json) AS wanted (value))
    AND {access_of(UNITS, "u", "$2::uuid", "$3::boolean")} IS NOT NULL
"""

_Days = dict[int, list[int]]
"""The ids of the units of each day of a plan, in their order."""


async def replace_plan_units(
    session: AsyncSession,
    plan_id: UUID,
    owner: UUID | None,
    entries: Sequence[PlanUnitEntry | PlanUnitDocument],
    principal: Principal,
) -> None:
    """Make these the units of a plan; rows that stay are updated in place.

    Raises:
        NotFound: a unit is unknown, or hidden from the caller.
        RuleBroken: an id is none of this plan.
    """
    connection = await raw_connection(session)
    stored = await connection.fetch(_DAYS, plan_id)
    sent = [entry.id if isinstance(entry, PlanUnitDocument) else None for entry in entries]
    rows = match_rows("units", sent, [row["id"] for row in stored])
    present = {row["training_unit_id"] for row in stored}
    units = await _own_units(session, {entry.training_unit_id for entry in entries}, present, owner, principal)
    last: Counter[int] = Counter()
    wanted = []
    for entry, row_id in zip(entries, rows, strict=True):
        last[entry.day_number] += 1
        unit_id = units[entry.training_unit_id]
        wanted.append(_place(row_id, entry.day_number, last[entry.day_number], unit_id))
    await connection.execute(_REPLACE_PLAN_UNITS, plan_id, _as_json(wanted))
    await connection.execute(_TURN_PLAN_UNITS, plan_id)


def _place(row_id: int | None, day_number: int, place: int, unit_id: UUID | None = None) -> dict[str, object]:
    return {"id": row_id, "training_unit_id": unit_id, "day_number": day_number, "order_index": place}


async def _own_units(
    session: AsyncSession, wanted: set[UUID], present: set[UUID], owner: UUID | None, principal: Principal
) -> dict[UUID, UUID]:
    """The units of the plan's owner that stand for those wanted: themselves, or copies of somebody else's.

    Args:
        present: those that the plan has already.
    """
    units = {unit_id: unit_id for unit_id in wanted & present}
    new = sorted(wanted - present)
    if not new:
        return units
    if owner is None:
        raise Forbidden
    connection = await raw_connection(session)
    rows = await connection.fetch(_READABLE_UNITS, _as_json(new), principal.user_id, principal.is_superuser)
    found = {row["id"]: row for row in rows}
    if unknown := [unit_id for unit_id in new if unit_id not in found]:
        raise NotFound(f"There is no such unit: {', '.join(map(str, unknown))}.")
    units |= {unit_id: unit_id for unit_id in new if found[unit_id]["created_by"] == owner}
    if foreign := {unit_id: found[unit_id]["name"] for unit_id in new if unit_id not in units}:
        await hold_names(session, owner)
        units |= await copy_units(session, foreign, owner, await free_names(connection, UNITS, owner))
    return units


async def _days(connection: "Connection", plan_id: UUID) -> _Days:
    days: _Days = {}
    for row in await connection.fetch(_DAYS, plan_id):
        days.setdefault(row["day_number"], []).append(row["id"])
    return days


async def _arrange(connection: "Connection", plan_id: UUID, days: _Days) -> None:
    wanted = [_place(row_id, day, place) for day, ids in days.items() for place, row_id in enumerate(ids, 1)]
    await connection.execute(_ARRANGE_PLAN_UNITS, plan_id, _as_json(wanted))
    await connection.execute(_TURN_PLAN_UNITS, plan_id)


class PlanUnitService:
    """The units of one plan that the caller may write."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(
        self, plan_id: UUID, data: NewPlanUnit, principal: Principal, precondition: Precondition
    ) -> Versioned[PlanUnit]:
        """Add a unit to a day, at a position or at its end.

        Raises:
            NotFound: there is no such plan, or no such unit that the caller may read.
            Forbidden: the caller may only read the plan.
            PreconditionFailed: the plan was changed in the meantime.
            RuleBroken: the plan is full.
        """
        locked = await lock(self._session, PLANS, plan_id, principal, Verb.WRITE, precondition)
        units = await _own_units(self._session, {data.training_unit_id}, set(), locked.created_by, principal)
        connection = await raw_connection(self._session)
        child_id = await connection.fetchval(
            _ADD_PLAN_UNIT, plan_id, units[data.training_unit_id], data.day_number, MAX_UNITS
        )
        if child_id is None:
            raise RuleBroken.of("body", f"A plan has at most {MAX_UNITS:,} units.", "length")
        if data.position:
            days = await _days(connection, plan_id)
            ids = days[data.day_number]
            ids.remove(child_id)
            ids.insert(data.position - 1, child_id)
            await _arrange(connection, plan_id, {data.day_number: ids})
        return await read_plan_unit(connection, child_id, plan_id, locked.access)

    async def change(
        self, plan_id: UUID, child_id: int, change: PlanUnitChange, principal: Principal, precondition: Precondition
    ) -> Versioned[PlanUnit]:
        """Put another unit in a unit's place, or move it to the end of another day.

        Raises:
            NotFound: there is no such plan, it has no such unit, or the new one is hidden from the caller.
            Forbidden: the caller may only read the plan.
            PreconditionFailed: the plan was changed in the meantime.
        """
        locked = await lock(self._session, PLANS, plan_id, principal, Verb.WRITE, precondition)
        connection = await raw_connection(self._session)
        before = (await read_plan_unit(connection, child_id, plan_id, locked.access)).document
        wanted = before.training_unit_id if change.training_unit_id is UNSET else change.training_unit_id
        if wanted != before.training_unit_id:
            units = await _own_units(self._session, {wanted}, set(), locked.created_by, principal)
            await connection.execute(_SWAP_UNIT, child_id, units[wanted])
        day = before.day_number if change.day_number is UNSET else change.day_number
        if day != before.day_number:
            days = await _days(connection, plan_id)
            days[before.day_number].remove(child_id)
            days.setdefault(day, []).append(child_id)
            await _arrange(connection, plan_id, days)
        return await read_plan_unit(connection, child_id, plan_id, locked.access)

    async def remove(self, plan_id: UUID, child_id: int, principal: Principal, precondition: Precondition) -> None:
        """Remove a unit from a plan; those behind it on its day move up.

        Raises:
            NotFound: there is no such plan, or it has no such unit.
            Forbidden: the caller may only read the plan.
            PreconditionFailed: the plan was changed in the meantime.
        """
        await lock(self._session, PLANS, plan_id, principal, Verb.WRITE, precondition)
        connection = await raw_connection(self._session)
        if await connection.fetchval(_DELETE_PLAN_UNIT, child_id, plan_id) is None:
            raise NotFound
        await _arrange(connection, plan_id, await _days(connection, plan_id))

    async def reorder(
        self, plan_id: UUID, days: Iterable[DayOrder], principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingPlan]:
        """Put the units of a plan into another order, also from day to day.

        Raises:
            NotFound: there is no such plan.
            Forbidden: the caller may only read it.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: the ids are not those of all its units, each once.
        """
        await lock(self._session, PLANS, plan_id, principal, Verb.WRITE, precondition)
        connection = await raw_connection(self._session)
        wanted = {day.day_number: list(day.ids) for day in days}
        stored = await _days(connection, plan_id)
        if _ids(wanted) != _ids(stored):
            raise RuleBroken.of("days", "Expected the ids of all units of the plan, each once.")
        await _arrange(connection, plan_id, wanted)
        return await read_document(connection, PLAN_DOCUMENTS, plan_id, principal)


def _ids(days: _Days) -> list[int]:
    return sorted(row_id for ids in days.values() for row_id in ids)
