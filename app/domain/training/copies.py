"""Copies of units in somebody's account."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Connection
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.transaction import raw_connection
from app.domain.training.access import Template
from app.domain.training.names import FreeNames

__all__ = ("copy_units", "free_names", "hold_names")

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

# Whoever adds a template refers to its owner's row, and so waits for who holds this lock.
_HOLD_NAMES: Final = text("SELECT id FROM user_account WHERE id = :owner FOR UPDATE")

_COPY_UNITS: Final = """
WITH wanted AS (
    SELECT * FROM json_to_recordset($1::text::json) AS w (source uuid, copy uuid, name text)
), made AS (
    INSERT INTO training_units (id, name, description, created_by)
    SELECT w.copy, w.name, u.description, $2::uuid FROM wanted w JOIN training_units u ON u.id = w.source
)
INSERT INTO training_unit_exercises
    (training_unit_id, exercise_id, exercise_name_snapshot, mode, order_index, unit_exercise_notes, target_weight,
     sets, reps_min, reps_max, target_time_seconds, target_distance_km, rest_seconds, superset_group)
SELECT w.copy, x.id, e.exercise_name_snapshot, e.mode, e.order_index, e.unit_exercise_notes, e.target_weight,
    e.sets, e.reps_min, e.reps_max, e.target_time_seconds, e.target_distance_km, e.rest_seconds, e.superset_group
FROM wanted w JOIN training_unit_exercises e ON e.training_unit_id = w.source
LEFT JOIN exercises x ON x.id = e.exercise_id AND (x.is_system_default OR x.created_by = $2::uuid)
ORDER BY w.copy, e.order_index
"""


async def hold_names(session: AsyncSession, owner: UUID) -> None:
    """Let nobody else add templates of this owner until the transaction ends."""
    await session.execute(_HOLD_NAMES, {"owner": owner})


async def free_names(connection: "Connection", template: Template, owner: UUID) -> FreeNames:
    """The names that an owner's templates do not have; to be asked while they are held."""
    rows = await connection.fetch(f"SELECT name FROM {template.table} WHERE created_by = $1", owner)
    return FreeNames(row["name"] for row in rows)


async def copy_units(
    session: AsyncSession, units: Mapping[UUID, str], owner: UUID, names: FreeNames
) -> dict[UUID, UUID]:
    """Copy units into an account, whose names are held: with their exercises, private, under names that are free.

    An exercise that is somebody else's own keeps its name alone.

    Args:
        units: the names of the units, by their ids.

    Returns:
        The ids of the copies, by those of the units.
    """
    copies = {unit_id: uuid7() for unit_id in units}
    wanted = [{"source": unit_id, "copy": copies[unit_id], "name": names.take(name)} for unit_id, name in units.items()]
    connection = await raw_connection(session)
    await connection.execute(_COPY_UNITS, msgspec.json.encode(wanted).decode(), owner)
    return copies
