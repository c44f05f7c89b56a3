"""Which transaction changed a row last, and a trace of each deleted one, are kept by the database, whoever writes."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.db.rows import Rows
from tests.db.test_triggers import CHILDREN, ROOTS

# Each table, its owner's column, and what a tombstone calls its rows.
OWNED = {
    "exercises": ("created_by", "exercise"),
    "training_units": ("created_by", "training_unit"),
    "training_plans": ("created_by", "training_plan"),
    "training_sessions": ("user_id", "training_session"),
    "runs": ("user_id", "run"),
}


@pytest.fixture
def committed(connection: "asyncpg.Connection[asyncpg.Record]") -> Rows:
    """Adds rows, each in a transaction of its own."""
    return Rows(connection)


async def add_owned(rows: Rows, table: str) -> asyncpg.Record:
    """A row that belongs to a user."""
    owner = (await rows.add("user_account"))["id"]
    custom: dict[str, Any] = {"is_system_default": False} if table == "exercises" else {}
    return await rows.add(table, **custom, **{OWNED[table][0]: owner})


async def changed_xid(rows: Rows, table: str, key: UUID) -> int:
    number: int = await rows.connection.fetchval(f"SELECT changed_xid FROM {table} WHERE id = $1", key)
    return number


async def tombstones(rows: Rows) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await rows.connection.fetch("SELECT user_id, kind, id FROM tombstone ORDER BY id")]


class TestNumbers:
    @pytest.mark.parametrize("table", [*OWNED, "tombstone"])
    async def test_are_those_of_the_transaction(self, rows: Rows, table: str) -> None:
        row = await rows.add(table)
        assert row["changed_xid"] == await rows.connection.fetchval("SELECT pg_current_xact_id()::text::bigint")

    @pytest.mark.parametrize("table", [*OWNED, "tombstone"])
    async def test_are_set_by_nobody(self, rows: Rows, table: str) -> None:
        row = await rows.add(table)
        with pytest.raises(asyncpg.GeneratedAlwaysError):
            await rows.connection.execute(f"UPDATE {table} SET changed_xid = 1 WHERE id = $1", row["id"])

    @pytest.mark.parametrize("table", OWNED)
    async def test_follow_each_change(self, committed: Rows, table: str) -> None:
        key = (await committed.add(table))["id"]
        numbers = [await changed_xid(committed, table, key)]
        for _ in range(2):
            await committed.connection.execute(f"UPDATE {table} SET {ROOTS[table]} WHERE id = $1", key)
            numbers.append(await changed_xid(committed, table, key))
        assert numbers == sorted(set(numbers))

    @pytest.mark.parametrize(("child", "column", "root", "change"), [row for row in CHILDREN if row[2] in OWNED])
    async def test_follow_each_change_of_a_child(
        self, committed: Rows, child: str, column: str, root: str, change: str
    ) -> None:
        key = (await committed.add(root))["id"]
        numbers = [await changed_xid(committed, root, key)]
        await committed.add(child, **{column: key})
        numbers.append(await changed_xid(committed, root, key))
        for statement in (
            f"UPDATE {child} SET {change} WHERE {column} = $1",
            f"DELETE FROM {child} WHERE {column} = $1",
        ):
            await committed.connection.execute(statement, key)
            numbers.append(await changed_xid(committed, root, key))
        assert numbers == sorted(set(numbers))

    async def test_follow_each_change_of_a_set(self, committed: Rows) -> None:
        exercise = await committed.add("training_session_exercises")
        key = exercise["training_session_id"]
        numbers = [await changed_xid(committed, "training_sessions", key)]
        await committed.add("training_session_sets", session_exercise_id=exercise["id"])
        numbers.append(await changed_xid(committed, "training_sessions", key))
        for statement in ("UPDATE training_session_sets SET weight = 80", "DELETE FROM training_session_sets"):
            await committed.connection.execute(statement)
            numbers.append(await changed_xid(committed, "training_sessions", key))
        assert numbers == sorted(set(numbers))


class TestTombstones:
    @pytest.mark.parametrize("table", OWNED)
    async def test_are_left_by_each_deletion(self, rows: Rows, table: str) -> None:
        await add_owned(rows, table)
        gone = [await add_owned(rows, table) for _ in range(2)]
        owner, kind = OWNED[table]
        keys = ", ".join(f"'{row['id']}'" for row in gone)
        await rows.connection.execute(f"DELETE FROM {table} WHERE id IN ({keys})")
        assert await tombstones(rows) == [(row[owner], kind, row["id"]) for row in gone]

    async def test_are_not_left_by_what_belongs_to_nobody(self, rows: Rows) -> None:
        await rows.connection.execute("DELETE FROM exercises WHERE id = $1", (await rows.add("exercises"))["id"])
        assert await tombstones(rows) == []

    async def test_are_left_by_an_exercise_that_is_given_to_everybody(self, rows: Rows) -> None:
        given = await add_owned(rows, "exercises")
        await rows.connection.execute(
            "UPDATE exercises SET created_by = NULL, is_system_default = true, slug = 'mine' WHERE id = $1", given["id"]
        )
        assert await tombstones(rows) == [(given["created_by"], "exercise", given["id"])]

    async def test_are_news_again_when_it_is_deleted_again(self, committed: Rows) -> None:
        run = await add_owned(committed, "runs")
        await committed.connection.execute("DELETE FROM runs")
        before = await changed_xid(committed, "tombstone", run["id"])
        await committed.add("runs", id=run["id"], user_id=run["user_id"])
        await committed.connection.execute("DELETE FROM runs")
        assert await changed_xid(committed, "tombstone", run["id"]) > before

    async def test_go_with_the_account(self, rows: Rows) -> None:
        session = await add_owned(rows, "training_sessions")
        owner = session["user_id"]
        await rows.add("exercises", is_system_default=False, created_by=owner)
        await rows.connection.execute("DELETE FROM training_sessions WHERE user_id = $1", owner)
        await rows.connection.execute("DELETE FROM user_account WHERE id = $1", owner)
        assert await tombstones(rows) == []
