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
    return body_of(
        await actor.client.post(UNITS, json={"name": unique("Push day"), "exercises": list(exercises), **body}), 201
    )


async def make_plan(actor: Actor, days: Iterable[tuple[Document, int]] = (), **body: Any) -> Document:
    """A plan of this person's own, of units on days."""
    units = [{"trainingUnitId": unit["id"], "dayNumber": day} for unit, day in days]
    document = {"name": unique("Strength"), "difficultyLevel": "beginner", "units": units, **body}
    return body_of(await actor.client.post(PLANS, json=document), 201)


async def read(actor: Actor, place: str, template: Document) -> Document:
    """A template as this person sees it."""
    return body_of(await actor.client.get(f"{place}/{template['id']}"), 200)


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


async def everything(connection: Connection) -> dict[str, set[tuple[Any, ...]]]:
    """All rows of templates and of who may see them."""
    return {table: {tuple(row) for row in await connection.fetch(f"SELECT * FROM {table}")} for table in TABLES}


async def rows(connection: Connection, unit: Document) -> list[Record]:
    """The stored exercises of a unit, in their order."""
    return await connection.fetch(
        "SELECT * FROM training_unit_exercises WHERE training_unit_id = $1 ORDER BY order_index", UUID(unit["id"])
    )


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


def sent(status_code: int, answer: httpx.Response) -> httpx.Response:
    """An answer, after checking its status."""
    assert answer.status_code == status_code, answer.text
    return answer
