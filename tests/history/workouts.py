"""Steps of a workout over HTTP, and the rows behind them."""

from typing import Any, TypeAlias
from uuid import UUID

import httpx
from asyncpg import Connection as AsyncpgConnection
from asyncpg import Record

from app.db.base import uuid7
from tests.actors import Actor
from tests.factories import unique

SESSIONS = "/api/v1/training-sessions"

NO_DETAILS = dict.fromkeys(["setType", "rpe", "restSeconds", "completedAt", "note"])
"""What a set has that was sent with its results alone."""

Connection: TypeAlias = "AsyncpgConnection[Record]"

_CREATE_EXERCISE = """
INSERT INTO exercises
    (id, name, slug, difficulty_level, category, default_mode, is_system_default, created_by, is_active)
VALUES ($1, $2, $3, 'beginner', 'strength', $4, $5, $6, $7)
"""


async def create_exercise(
    connection: Connection,
    owner: Actor | None = None,
    *,
    mode: str = "reps",
    is_active: bool = True,
) -> tuple[UUID, str]:
    """An exercise of the catalogue, or of its owner; its id and name."""
    exercise_id, name = uuid7(), unique("Squat")
    slug = None if owner else name.lower().replace(" ", "-")
    await connection.execute(
        _CREATE_EXERCISE, exercise_id, name, slug, mode, owner is None, owner and owner.id, is_active
    )
    return exercise_id, name


async def start(actor: Actor, **body: Any) -> dict[str, Any]:
    """Start a session."""
    return _body(await actor.client.post(SESSIONS, json=body), 201)


async def add_exercise(actor: Actor, session: dict[str, Any], **body: Any) -> dict[str, Any]:
    """Add an exercise to a session; a name alone unless the body says more."""
    body = body if "exerciseId" in body else {"exerciseName": "Bench press", **body}
    return _body(await actor.client.post(f"{SESSIONS}/{session['id']}/exercises", json=body), 201)


async def add_sets(actor: Actor, session: dict[str, Any], exercise: dict[str, Any], *sets: dict[str, Any]) -> list[Any]:
    """Add sets to an exercise."""
    answer = await actor.client.post(sets_path(session, exercise), json=list(sets))
    assert answer.status_code == 201, answer.text
    added: list[Any] = answer.json()
    return added


async def read(actor: Actor, session: dict[str, Any]) -> dict[str, Any]:
    """A session as it is now."""
    return _body(await actor.client.get(f"{SESSIONS}/{session['id']}"), 200)


async def etag(actor: Actor, session: dict[str, Any]) -> str:
    """The state of a session."""
    return (await actor.client.get(f"{SESSIONS}/{session['id']}")).headers["etag"]


async def fill(connection: Connection) -> None:
    """Give every session an exercise with a hundred long notes: a million characters."""
    await connection.execute(
        "WITH added AS (INSERT INTO training_session_exercises"
        " (training_session_id, exercise_name_snapshot, mode_snapshot, order_index)"
        " SELECT id, 'Rows', 'reps', 1 FROM training_sessions RETURNING id)"
        " INSERT INTO training_session_sets (session_exercise_id, mode, order_index, note)"
        " SELECT id, 'reps', place, repeat('x', 10000) FROM added, generate_series(1, 100) place"
    )


def exercise_path(session: dict[str, Any], exercise: dict[str, Any]) -> str:
    """Where an exercise of a session is."""
    return f"{SESSIONS}/{session['id']}/exercises/{exercise['id']}"


def sets_path(session: dict[str, Any], exercise: dict[str, Any]) -> str:
    """Where the sets of an exercise are."""
    return f"{exercise_path(session, exercise)}/sets"


def broken_fields(answer: httpx.Response) -> list[str]:
    """The fields that a 422 names."""
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["message"] == "Validation Error"
    return [detail["field"] for detail in problem["details"]]


def _body(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document
