"""Units and plans: made, changed, copied and deleted."""

from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Connection, Record
from msgspec import Struct

from app.domain.catalogue.models import ExerciseMode
from app.domain.training.access import PLANS, UNITS, access_of
from app.errors import NotFound
from app.http.fields import Number
from app.security.principal import Principal

__all__ = ("PlannedDay", "PlannedExercise", "SessionTemplates", "UnitTemplate")

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)


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
