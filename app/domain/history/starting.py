"""How a session begins: from a day of a plan, from a unit, or from nothing."""

from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Connection
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.history.dto import NewSession
from app.domain.history.progress import first_undone, read_progress
from app.domain.training.services import SessionTemplates, UnitTemplate
from app.errors import NotFound, RuleBroken
from app.security.principal import Principal

__all__ = ("insert_session", "template_of")

# A template may be deleted since it was read: then its names stay, and no link. Not ON CONFLICT (id): of two starts
# with one id and one externalId at the same moment, the second would fail at the latter.
_INSERT: Final = text("""
WITH started AS (
    INSERT INTO training_sessions (
        id, user_id, user_timezone, start_time, notes, perceived_effort, source, external_id, plan_name_snapshot,
        unit_name_snapshot, day_number_snapshot, training_plan_id, training_unit_id, plan_unit_id)
    VALUES (
        :id, :user_id, :user_timezone, coalesce(CAST(:start_time AS timestamptz), now()), :notes, :perceived_effort,
        :source, :external_id, :plan_name, :unit_name, :day_number,
        (SELECT id FROM training_plans WHERE id = CAST(:plan_id AS uuid) FOR KEY SHARE),
        (SELECT id FROM training_units WHERE id = CAST(:unit_id AS uuid) FOR KEY SHARE),
        (SELECT id FROM training_plan_units WHERE id = CAST(:plan_unit_id AS integer) FOR KEY SHARE))
    ON CONFLICT DO NOTHING
    RETURNING id),
copied AS (
    INSERT INTO training_session_exercises (
        training_session_id, order_index, exercise_id, exercise_name_snapshot, mode_snapshot, superset_group,
        planned_unit_exercise_id, order_index_snapshot, target_weight_snapshot, sets_snapshot, reps_min_snapshot,
        reps_max_snapshot, target_time_seconds_snapshot, target_distance_km_snapshot, rest_seconds_snapshot)
    SELECT started.id, e.order_index, (SELECT id FROM exercises WHERE id = e.exercise_id FOR KEY SHARE),
        e.exercise_name, e.mode, e.superset_group,
        (SELECT id FROM training_unit_exercises WHERE id = e.unit_exercise_id FOR KEY SHARE), e.order_index,
        e.target_weight, e.sets, e.reps_min, e.reps_max, e.target_time_seconds, e.target_distance_km, e.rest_seconds
    FROM started, json_to_recordset(CAST(CAST(:exercises AS text) AS json)) AS e (
        unit_exercise_id integer, exercise_id uuid, exercise_name text, mode text, order_index smallint,
        target_weight numeric, sets smallint, reps_min smallint, reps_max smallint, target_time_seconds smallint,
        target_distance_km numeric, rest_seconds smallint, superset_group smallint)
    ORDER BY e.order_index)
SELECT id FROM started
""")

_COPIED: Final = ("plan_id", "plan_name", "plan_unit_id", "day_number", "unit_id", "unit_name")

_NOT_IN_PLAN: Final = "This day is not in the plan."

_templates = SessionTemplates()


async def template_of(connection: "Connection", data: NewSession, principal: Principal) -> UnitTemplate | None:
    """What a new session copies; None for a freestyle one.

    Of several days of a plan with the unit it is the first undone.

    Raises:
        NotFound: there is no such template.
        RuleBroken: the unit or the day is not in the plan.
    """
    if data.plan_unit_id:
        template = await _template_of_day(connection, data.plan_unit_id, data.training_plan_id, principal)
        if data.training_plan_id not in {None, template.plan_id}:
            raise RuleBroken.of("planUnitId", _NOT_IN_PLAN)
        if data.training_unit_id not in {None, template.unit_id}:
            raise RuleBroken.of("trainingUnitId", "This unit is not the one of the day.")
        return template
    if data.training_plan_id:
        progress = await read_progress(connection, data.training_plan_id, principal)
        day = first_undone(day for day in progress.days if day.training_unit_id == data.training_unit_id)
        if day is None:
            raise RuleBroken.of("trainingUnitId", "This unit is not in the plan.")
        return await _templates.for_plan_unit(connection, day.plan_unit_id, principal)
    if data.training_unit_id:
        return await _templates.for_unit(connection, data.training_unit_id, principal)
    return None


async def _template_of_day(
    connection: "Connection", plan_unit_id: int, plan_id: UUID | None, principal: Principal
) -> UnitTemplate:
    try:
        return await _templates.for_plan_unit(connection, plan_unit_id, principal)
    except NotFound:
        if plan_id is None:
            raise
    # Whoever may read the plan may know that it has no such day.
    await read_progress(connection, plan_id, principal)
    raise RuleBroken.of("planUnitId", _NOT_IN_PLAN)


async def insert_session(
    session: AsyncSession,
    session_id: UUID,
    data: NewSession,
    principal: Principal,
    zone: str,
    template: UnitTemplate | None,
) -> bool:
    """Store a new session with copies of its template's targets; false: the id is there already, or the externalId."""
    values = {
        "id": session_id,
        "user_id": principal.user_id,
        "user_timezone": zone,
        "start_time": data.start_time,
        "notes": data.notes,
        "perceived_effort": data.perceived_effort,
        "source": data.source,
        "external_id": data.external_id,
        **{name: getattr(template, name, None) for name in _COPIED},
        "exercises": msgspec.json.encode(template.exercises if template else []).decode(),
    }
    return (await session.execute(_INSERT, values)).one_or_none() is not None
