"""A client that keeps a copy, and rows to be copied."""

import asyncio
from typing import Any
from uuid import UUID

import httpx

from tests.actors import Actor
from tests.db.rows import Rows
from tests.history.workouts import Connection

SYNC = "/api/v1/sync"

# Where the document of each kind is read by itself, and how its row belongs to somebody.
ROUTES = {
    "exercise": "/api/v1/exercises",
    "training_unit": "/api/v1/training-units",
    "training_plan": "/api/v1/training-plans",
    "training_session": "/api/v1/training-sessions",
}
TABLES = {
    "exercise": ("exercises", "created_by"),
    "training_unit": ("training_units", "created_by"),
    "training_plan": ("training_plans", "created_by"),
    "training_session": ("training_sessions", "user_id"),
    "run": ("runs", "user_id"),
}
KINDS = list(TABLES)


class Copy:
    """What a client has of its user, brought up to date part by part.

    Attributes:
        items: the latest change of each thing, deleted ones too, by kind and id.
        received: every change that came, in order.
    """

    def __init__(self, client: httpx.AsyncClient, connection: Connection, page_size: int = 100) -> None:
        self.client = client
        self.connection = connection
        self.page_size = page_size
        self.since: str | None = None
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.received: list[dict[str, Any]] = []

    async def sync(self) -> list[dict[str, Any]]:
        """Everything that was committed so far; what came."""
        await settled(self.connection)
        return await self.look()

    async def look(self) -> list[dict[str, Any]]:
        """Ask until there is no more; what came."""
        news: list[dict[str, Any]] = []
        more = True
        while more:
            answer = await self.ask()
            news += answer["items"]
            more = answer["hasMore"]
        return news

    async def ask(self) -> dict[str, Any]:
        """Ask for one part."""
        query = {"since": self.since} if self.since else {}
        answer = await self.client.get(SYNC, params={**query, "pageSize": str(self.page_size)})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        assert len(body["items"]) <= body["limit"] == self.page_size
        self.since = body["nextCursor"]
        self.received += body["items"]
        self.items |= {(item["kind"], item["id"]): item for item in body["items"]}
        return body

    @property
    def documents(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What is there, as the client knows it."""
        return {key: item["document"] for key, item in self.items.items() if item["document"]}


async def settled(connection: Connection) -> None:
    """Wait until the transactions that are running now have ended: those of other tests hold changes back too."""
    begun = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    async with asyncio.timeout(30):
        while await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint") < begun:
            await asyncio.sleep(0.005)


def keys(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What changes are of."""
    return [(item["kind"], item["id"]) for item in items]


async def add(connection: Connection, kind: str, owner: Actor, **values: Any) -> UUID:
    """A row of an owner."""
    table, column = TABLES[kind]
    custom: dict[str, Any] = {"is_system_default": False} if kind == "exercise" else {}
    key: UUID = (await Rows(connection).add(table, **custom, **{column: owner.id}, **values))["id"]
    return key


async def touch(connection: Connection, kind: str, key: UUID) -> None:
    """Change a row."""
    await connection.execute(f"UPDATE {TABLES[kind][0]} SET version = version WHERE id = $1", key)


async def delete(connection: Connection, kind: str, key: UUID) -> None:
    """Delete a row."""
    await connection.execute(f"DELETE FROM {TABLES[kind][0]} WHERE id = $1", key)
