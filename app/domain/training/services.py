"""Units and plans: made, changed, copied and deleted; and what sessions copy of them.

Writers of one template lock its row first, and decide then whether the caller may. Its version is kept by triggers,
whichever of its rows was written.
"""

from typing import Any, Final
from uuid import UUID

import msgspec
from asyncpg import Connection, Record
from msgspec import UNSET, Struct
from sqlalchemy import delete, insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.paging import Precondition, Versioned
from app.db.transaction import raw_connection
from app.domain.catalogue.models import ExerciseMode
from app.domain.training import models
from app.domain.training.access import PLANS, UNITS, Access, Locked, Verb, access_of, lock
from app.domain.training.children import replace_exercises, replace_plan_units
from app.domain.training.copies import copy_units, free_names, hold_names
from app.domain.training.documents import PLAN_DOCUMENTS, UNIT_DOCUMENTS, read_document
from app.domain.training.dto import (
    NewPlan,
    NewUnit,
    PlanChange,
    PlanDocument,
    PlanUnitEntry,
    TrainingPlan,
    TrainingUnit,
    UnitChange,
    UnitDocument,
)
from app.errors import Conflict, Forbidden, NotFound
from app.http.fields import LongText, Name, Number
from app.security.principal import Principal

__all__ = (
    "PlanService",
    "PlannedDay",
    "PlannedExercise",
    "SessionTemplates",
    "UnitService",
    "UnitTemplate",
)

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_PLANS_WITH: Final = text("""
    SELECT DISTINCT p.name FROM training_plan_units d JOIN training_plans p ON p.id = d.training_plan_id
    WHERE d.training_unit_id = :id ORDER BY p.name
""")

_NAMED_PLANS: Final = 10
"""How many plans a sentence names."""


def _changed(data: UnitDocument | UnitChange | PlanDocument | PlanChange, locked: Locked) -> dict[str, Any]:
    """The columns of a template's own row that a body gives.

    Raises:
        Forbidden: it changes the sharing status, which is the owner's.
    """
    columns = ("name", "description", "sharing_status", "difficulty_level")
    given = {name: getattr(data, name, UNSET) for name in columns}
    given = {name: value for name, value in given.items() if value is not UNSET}
    if given.get("sharing_status", locked.sharing_status) != locked.sharing_status and locked.access != Access.OWNER:
        raise Forbidden("Only the owner changes the sharing status.")
    return given


class UnitService:
    """Makes, changes, copies and deletes units."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(self, data: NewUnit, principal: Principal) -> Versioned[TrainingUnit]:
        """Make a unit with its exercises.

        Raises:
            NotFound: there is no such exercise that the caller may refer to.
            RuleBroken: an exercise is archived.
        """
        unit_id = uuid7()
        row = {"name": data.name, "description": data.description, "sharing_status": data.sharing_status}
        await self._session.execute(insert(models.TrainingUnit).values(id=unit_id, created_by=principal.user_id, **row))
        connection = await raw_connection(self._session)
        if data.exercises:
            await replace_exercises(connection, unit_id, data.exercises, principal)
        return await read_document(connection, UNIT_DOCUMENTS, unit_id, principal)

    async def change(
        self, unit_id: UUID, data: UnitDocument | UnitChange, principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingUnit]:
        """Change what a body gives of a unit; its exercises are replaced as a whole.

        Raises:
            NotFound: there is no such unit, or no such exercise that the caller may refer to.
            Forbidden: the caller may only read the unit, or is not the owner and would change the sharing status.
            PreconditionFailed: the unit was changed in the meantime.
            RuleBroken: an exercise is archived and new to the unit, or an id is none of it.
        """
        locked = await lock(self._session, UNITS, unit_id, principal, Verb.WRITE, precondition)
        if columns := _changed(data, locked):
            changed = update(models.TrainingUnit).where(models.TrainingUnit.id == unit_id).values(**columns)
            await self._session.execute(changed, execution_options={"synchronize_session": False})
        connection = await raw_connection(self._session)
        if data.exercises is not UNSET:
            await replace_exercises(connection, unit_id, data.exercises, principal)
        return await read_document(connection, UNIT_DOCUMENTS, unit_id, principal)

    async def delete(self, unit_id: UUID, principal: Principal, precondition: Precondition) -> None:
        """Delete a unit that is in no plan. What was trained by it stays.

        Raises:
            NotFound: there is no such unit.
            Forbidden: the caller may not delete it.
            PreconditionFailed: it was changed in the meantime.
            Conflict: it is in plans, which are named.
        """
        await lock(self._session, UNITS, unit_id, principal, Verb.DELETE, precondition)
        plans = list(await self._session.scalars(_PLANS_WITH, {"id": unit_id}))
        if plans:
            named = ", ".join(plans[:_NAMED_PLANS]) + (", …" if len(plans) > _NAMED_PLANS else "")
            raise Conflict(f"It is in these plans: {named}.")
        await self._session.execute(delete(models.TrainingUnit).where(models.TrainingUnit.id == unit_id))

    async def copy(self, unit_id: UUID, principal: Principal) -> Versioned[TrainingUnit]:
        """Copy a unit into the caller's account.

        Raises:
            NotFound: there is no such unit.
        """
        await hold_names(self._session, principal.user_id)
        connection = await raw_connection(self._session)
        source = (await read_document(connection, UNIT_DOCUMENTS, unit_id, principal)).document
        names = await free_names(connection, UNITS, principal.user_id)
        copies = await copy_units(self._session, {unit_id: source.name}, principal.user_id, names)
        return await read_document(connection, UNIT_DOCUMENTS, copies[unit_id], principal)


class PlanService:
    """Makes, changes, copies and deletes plans."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(self, data: NewPlan, principal: Principal) -> Versioned[TrainingPlan]:
        """Make a plan with its units; of units that are not the caller's, copies are stored.

        Raises:
            NotFound: there is no such unit that the caller may read.
        """
        plan_id = uuid7()
        row = {
            "name": data.name,
            "description": data.description,
            "sharing_status": data.sharing_status,
            "difficulty_level": data.difficulty_level,
        }
        await self._session.execute(insert(models.TrainingPlan).values(id=plan_id, created_by=principal.user_id, **row))
        if data.units:
            await replace_plan_units(self._session, plan_id, principal.user_id, data.units, principal)
        return await read_document(await raw_connection(self._session), PLAN_DOCUMENTS, plan_id, principal)

    async def change(
        self, plan_id: UUID, data: PlanDocument | PlanChange, principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingPlan]:
        """Change what a body gives of a plan; its units are replaced as a whole.

        Raises:
            NotFound: there is no such plan, or no such unit that the caller may read.
            Forbidden: the caller may only read the plan, or is not the owner and would change the sharing status.
            PreconditionFailed: the plan was changed in the meantime.
            RuleBroken: an id is none of the plan's.
        """
        locked = await lock(self._session, PLANS, plan_id, principal, Verb.WRITE, precondition)
        if columns := _changed(data, locked):
            changed = update(models.TrainingPlan).where(models.TrainingPlan.id == plan_id).values(**columns)
            await self._session.execute(changed, execution_options={"synchronize_session": False})
        if data.units is not UNSET:
            await replace_plan_units(self._session, plan_id, locked.created_by, data.units, principal)
        return await read_document(await raw_connection(self._session), PLAN_DOCUMENTS, plan_id, principal)

    async def delete(self, plan_id: UUID, principal: Principal, precondition: Precondition) -> None:
        """Delete a plan; its units stay, and so does what was trained by it.

        Raises:
            NotFound: there is no such plan.
            Forbidden: the caller may not delete it.
            PreconditionFailed: it was changed in the meantime.
        """
        await lock(self._session, PLANS, plan_id, principal, Verb.DELETE, precondition)
        await self._session.execute(delete(models.TrainingPlan).where(models.TrainingPlan.id == plan_id))

    async def copy(self, plan_id: UUID, principal: Principal) -> Versioned[TrainingPlan]:
        """Copy a plan into the caller's account, with its units unless they are the caller's already.

        Raises:
            NotFound: there is no such plan.
        """
        owner = principal.user_id
        await hold_names(self._session, owner)
        connection = await raw_connection(self._session)
        source = (await read_document(connection, PLAN_DOCUMENTS, plan_id, principal)).document
        units = {unit.training_unit_id: unit.training_unit_id for unit in source.units}
        if source.created_by != owner:
            wanted = {unit.training_unit_id: unit.unit_name for unit in source.units}
            units = await copy_units(self._session, wanted, owner, await free_names(connection, UNITS, owner))
        copy = NewPlan(
            name=Name((await free_names(connection, PLANS, owner)).take(source.name)),
            description=None if source.description is None else LongText(source.description),
            difficulty_level=source.difficulty_level,
            units=[
                PlanUnitEntry(training_unit_id=units[unit.training_unit_id], day_number=unit.day_number)
                for unit in source.units
            ],
        )
        return await self.create(copy, principal)


class PlannedExercise(Struct, frozen=True, kw_only=True):
    """An exercise of a unit with its targets, as a session copies them.

    Attributes:
        unit_exercise_id: the row in the unit.
        exercise_id: None for a name alone, and for somebody else's own exercise.
        target_weight: kilograms.
    """

    unit_exercise_id: int
    exercise_id: UUID | None
    exercise_name: str
    mode: ExerciseMode
    order_index: int
    target_weight: Number | None
    sets: int
    reps_min: int | None
    reps_max: int | None
    target_time_seconds: int | None
    target_distance_km: Number | None
    rest_seconds: int | None
    superset_group: int | None


class UnitTemplate(Struct, frozen=True, kw_only=True):
    """What a session copies when it is started from a unit, alone or on a day of a plan."""

    plan_id: UUID | None
    plan_name: str | None
    plan_unit_id: int | None
    day_number: int | None
    unit_id: UUID
    unit_name: str
    exercises: list[PlannedExercise]


class PlannedDay(Struct, frozen=True):
    """A unit on a day of a plan.

    Attributes:
        id: of its row in the plan.
    """

    id: int
    training_unit_id: UUID
    unit_name: str
    day_number: int
    order_index: int


_CALLER: Final = ("$2::uuid", "$3::boolean")

_EXERCISES: Final = """
coalesce((
    SELECT json_agg(json_build_object(
        'unit_exercise_id', e.id, 'exercise_id', x.id, 'exercise_name', e.exercise_name_snapshot, 'mode', e.mode,
        'order_index', e.order_index, 'target_weight', e.target_weight::float8, 'sets', e.sets,
        'reps_min', e.reps_min, 'reps_max', e.reps_max, 'target_time_seconds', e.target_time_seconds,
        'target_distance_km', e.target_distance_km::float8, 'rest_seconds', e.rest_seconds,
        'superset_group', e.superset_group) ORDER BY e.order_index)
    FROM training_unit_exercises e
    LEFT JOIN exercises x ON x.id = e.exercise_id AND (x.is_system_default OR x.created_by = $2::uuid)
    WHERE e.training_unit_id = u.id), '[]'::json)::text AS exercises
"""

_UNIT: Final = f"""
SELECT NULL::uuid AS plan_id, NULL AS plan_name, NULL::integer AS plan_unit_id, NULL::integer AS day_number,
    u.id AS unit_id, u.name AS unit_name, {_EXERCISES}
FROM training_units u WHERE u.id = $1 AND {access_of(UNITS, "u", *_CALLER)} IS NOT NULL
"""

_PLAN_UNIT: Final = f"""
SELECT p.id AS plan_id, p.name AS plan_name, d.id AS plan_unit_id, d.day_number, u.id AS unit_id, u.name AS unit_name,
    {_EXERCISES}
FROM training_plan_units d
JOIN training_plans p ON p.id = d.training_plan_id
JOIN training_units u ON u.id = d.training_unit_id
WHERE d.id = $1 AND {access_of(PLANS, "p", *_CALLER)} IS NOT NULL
"""

_DAYS: Final = f"""
SELECT coalesce((
    SELECT json_agg(json_build_array(d.id, d.training_unit_id, u.name, d.day_number, d.order_index)
        ORDER BY d.day_number, d.order_index)
    FROM training_plan_units d JOIN training_units u ON u.id = d.training_unit_id
    WHERE d.training_plan_id = p.id), '[]'::json)::text
FROM training_plans p WHERE p.id = $1 AND {access_of(PLANS, "p", *_CALLER)} IS NOT NULL
"""

_planned_exercises = msgspec.json.Decoder(list[PlannedExercise])
_planned_days = msgspec.json.Decoder(list[tuple[int, UUID, str, int, int]])


class SessionTemplates:
    """What sessions copy from templates; each call is one statement.

    The connection is given, so that it can be that of the transaction which stores the copy.
    """

    async def for_unit(self, connection: "Connection", unit_id: UUID, principal: Principal) -> UnitTemplate:
        """A unit that the caller may read.

        Raises:
            NotFound: there is none.
        """
        return _template_of(await _fetch(connection, _UNIT, unit_id, principal))

    async def for_plan_unit(self, connection: "Connection", plan_unit_id: int, principal: Principal) -> UnitTemplate:
        """A unit on a day of a plan that the caller may read.

        Raises:
            NotFound: there is none.
        """
        return _template_of(await _fetch(connection, _PLAN_UNIT, plan_unit_id, principal))

    async def days(self, connection: "Connection", plan_id: UUID, principal: Principal) -> list[PlannedDay]:
        """The units of a plan that the caller may read, in the order of its days.

        Raises:
            NotFound: there is no such plan.
        """
        row = await _fetch(connection, _DAYS, plan_id, principal)
        return [PlannedDay(*day) for day in _planned_days.decode(row[0])]


async def _fetch(connection: "Connection", statement: str, key: object, principal: Principal) -> Record:
    row = await connection.fetchrow(statement, key, principal.user_id, principal.is_superuser)
    if row is None:
        raise NotFound
    return row


def _template_of(row: Record) -> UnitTemplate:
    fields = dict(row)
    fields["exercises"] = _planned_exercises.decode(fields["exercises"])
    return UnitTemplate(**fields)
