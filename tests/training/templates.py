"""Steps with units and plans over HTTP, and the rows behind them."""

from collections.abc import Iterable
from typing import Any, TypeAlias
from uuid import UUID

import httpx
from asyncpg import Connection as AsyncpgConnection
from asyncpg import Record

from tests.actors import Actor
from tests.factories import unique

UNITS = "/api/v1/training-units"
PLANS = "/api/v1/training-plans"
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"

Connection: TypeAlias = "AsyncpgConnection[Record]"
Document: TypeAlias = dict[str, Any]

TABLES = (
    "training_units",
    "training_unit_exercises",
    "training_unit_access",
    "training_plans",
    "training_plan_units",
    "training_plan_access",
    "share_link",
)


def exercise(name: str = "Bench press", **changes: Any) -> Document:
    """An exercise that is a name alone."""
    return {"exerciseName": name, "mode": "reps", "repsMin": 5, **changes}


async def make_unit(actor: Actor, *exercises: Document, **body: Any) -> Document:
    """A unit of this person's own."""
    document = {"name": unique("Push day"), "exercises": list(exercises), **body}
    unit: Document = body_of(await actor.client.post(UNITS, json=document), 201)
    return unit


async def make_plan(actor: Actor, days: Iterable[tuple[Document, int]] = (), **body: Any) -> Document:
    """A plan of this person's own, of units on days."""
    units = [{"trainingUnitId": unit["id"], "dayNumber": day} for unit, day in days]
    document = {"name": unique("Strength"), "difficultyLevel": "beginner", "units": units, **body}
    plan: Document = body_of(await actor.client.post(PLANS, json=document), 201)
    return plan


async def read(actor: Actor, place: str, template: Document) -> Document:
    """A template as this person sees it."""
    seen: Document = body_of(await actor.client.get(f"{place}/{template['id']}"), 200)
    return seen


async def share(actor: Actor, place: str, template: Document, status: str) -> None:
    """Change the sharing status."""
    body_of(await actor.client.patch(f"{place}/{template['id']}", json={"sharingStatus": status}), 200)


async def grant(actor: Actor, place: str, template: Document, grantee: Actor, level: str = "read") -> None:
    """Let another person read, or read and write."""
    answer = await actor.client.put(
        f"{place}/{template['id']}/access", json={"userId": str(grantee.id), "accessLevel": level}
    )
    assert answer.status_code in {200, 201}, answer.text


async def listed(actor: Actor, place: str, **query: Any) -> list[Document]:
    """All items of a list."""
    items: list[Document] = body_of(await actor.client.get(place, params={"pageSize": 100, **query}), 200)["items"]
    return items


_EVERYTHING = " UNION ALL ".join(f"SELECT '{table}', row::text FROM {table} AS row" for table in TABLES)


async def everything(connection: Connection) -> set[tuple[str, str]]:
    """All rows of templates and of who may see them, by their tables."""
    return {(table, row) for table, row in await connection.fetch(_EVERYTHING)}


async def rows(connection: Connection, unit: Document) -> list[Record]:
    """The stored exercises of a unit, in their order."""
    statement = "SELECT * FROM training_unit_exercises WHERE training_unit_id = $1 ORDER BY order_index"
    stored: list[Record] = await connection.fetch(statement, UUID(unit["id"]))
    return stored


def body_of(answer: httpx.Response, status: int) -> Any:
    """The body of an answer with this status."""
    assert answer.status_code == status, answer.text
    return answer.json()


def names(template: Document) -> list[str]:
    """The names of a unit's exercises, in their order."""
    return [item["exerciseName"] for item in template["exercises"]]


def days(plan: Document) -> list[tuple[str, int, int]]:
    """The unit, day and place of each unit of a plan."""
    return [(item["trainingUnitId"], item["dayNumber"], item["orderIndex"]) for item in plan["units"]]
