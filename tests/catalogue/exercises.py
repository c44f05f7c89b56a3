"""Bodies and rows that the tests of the catalogue share."""

from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from tests.actors import Actor
from tests.factories import CustomExerciseFactory, SystemExerciseFactory

EXERCISES = "/api/v1/exercises"
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

FIELDS = {
    "id",
    "name",
    "slug",
    "aliases",
    "force",
    "difficultyLevel",
    "mechanic",
    "category",
    "defaultMode",
    "instructions",
    "imagePathStart",
    "imagePathEnd",
    "primaryMuscles",
    "secondaryMuscles",
    "equipment",
    "tags",
    "isActive",
    "createdBy",
    "createdAt",
    "updatedAt",
}
IN_LISTS = FIELDS - {"aliases", "instructions", "imagePathEnd", "createdAt", "updatedAt"}
"""What a list shows of an exercise, unless it is asked for everything."""


async def create_custom(actor: Actor, **changes: object) -> dict[str, Any]:
    """An exercise of this person's own, as the answer shows it."""
    answer = await actor.client.post(f"{EXERCISES}/user", json=CustomExerciseFactory.build(**changes))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def create_system(superuser: Actor, **changes: object) -> dict[str, Any]:
    """An exercise of the system, as the answer shows it."""
    answer = await superuser.client.post(f"{EXERCISES}/system", json=SystemExerciseFactory.build(**changes))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def shipped_id(connection: Connection, slug: str) -> UUID:
    """The id of a shipped exercise."""
    found: UUID = await connection.fetchval("SELECT id FROM exercises WHERE slug = $1", slug)
    return found


async def row(connection: Connection, exercise_id: object) -> dict[str, Any]:
    """What is stored of an exercise, its children included."""
    stored = await connection.fetchrow("SELECT * FROM exercises WHERE id = $1", UUID(str(exercise_id)))
    assert stored is not None
    children = {
        table: sorted(
            tuple(child)
            for child in await connection.fetch(f"SELECT * FROM {table} WHERE exercise_id = $1", stored["id"])
        )
        for table in (
            "exercise_aliases",
            "exercise_equipment",
            "exercise_primary_muscles",
            "exercise_secondary_muscles",
            "exercise_tag_map",
        )
    }
    return {**stored, **children}


async def use_in_session(connection: Connection, actor: Actor, exercise_id: object) -> int:
    """Let a training session of this person refer to an exercise; the id of the reference."""
    reference: int = await connection.fetchval(
        """
        WITH session AS (
            INSERT INTO training_sessions (id, user_id, user_timezone) VALUES (gen_random_uuid(), $1, 'UTC')
            RETURNING id)
        INSERT INTO training_session_exercises
            (training_session_id, exercise_id, mode_snapshot, exercise_name_snapshot, order_index)
        SELECT session.id, e.id, e.default_mode, e.name, 1 FROM session, exercises e WHERE e.id = $2
        RETURNING id
        """,
        actor.id,
        UUID(str(exercise_id)),
    )
    return reference


async def use_in_unit(connection: Connection, actor: Actor, exercise_id: object) -> int:
    """Let a training unit of this person refer to an exercise; the id of the reference."""
    reference: int = await connection.fetchval(
        """
        WITH unit AS (
            INSERT INTO training_units (id, name, created_by) VALUES (gen_random_uuid(), 'Push day', $1) RETURNING id)
        INSERT INTO training_unit_exercises
            (training_unit_id, exercise_id, mode, exercise_name_snapshot, order_index, reps_min)
        SELECT unit.id, e.id, 'reps', e.name, 1, 5 FROM unit, exercises e WHERE e.id = $2
        RETURNING id
        """,
        actor.id,
        UUID(str(exercise_id)),
    )
    return reference
