"""Changes that are committed in another order than they were written in: none is left out, and none comes twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.actors import Actor, sign_in
from tests.conftest import MakeApp
from tests.db.rows import Rows
from tests.history.workouts import Connection, add_exercise, add_sets, read, start
from tests.servers import Database, driver_url
from tests.sync.copies import KINDS, TABLES, Copy, add, delete, keys, touch

WRITERS, ROWS = 4, 6


@pytest.fixture
async def writers(database: Database, connection: Connection) -> AsyncIterator[list[Connection]]:
    """Connections that each have a transaction of their own."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(WRITERS):
            made.append(await asyncpg.connect(driver_url(database.url)))
            stack.push_async_callback(made[-1].close)
        yield made


@pytest.fixture
def copy(athlete: Actor, connection: Connection) -> Copy:
    """A client of the athlete that has nothing yet."""
    return Copy(athlete.client, connection)


def assert_nothing_twice(copy: Copy) -> None:
    states = [(item["kind"], item["id"], item["etag"]) for item in copy.received]
    assert len(states) == len(set(states))


class TestLateCommits:
    """T1 writes, T2 writes and commits, the client asks, T1 commits: the next answer brings T1's."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("page_size", [1, 100])
    async def test_of_something_new(
        self, athlete: Actor, writers: list[Connection], connection: Connection, kind: str, page_size: int
    ) -> None:
        copy = Copy(athlete.client, connection, page_size)
        first, second, *_ = writers
        late = first.transaction()
        await late.start()
        written_first = await add(first, kind, athlete)
        written_second = await add(second, kind, athlete)
        seen = await copy.look()
        await late.commit()
        seen += await copy.sync()
        assert sorted(keys(seen)) == sorted([(kind, str(written_first)), (kind, str(written_second))])
        assert await copy.sync() == []

    @pytest.mark.parametrize("kind", KINDS)
    async def test_of_a_deletion(
        self, athlete: Actor, copy: Copy, writers: list[Connection], connection: Connection, kind: str
    ) -> None:
        one, other = [await add(connection, kind, athlete) for _ in range(2)]
        await copy.sync()
        late = writers[0].transaction()
        await late.start()
        await delete(writers[0], kind, one)
        await delete(writers[1], kind, other)
        seen = await copy.look()
        await late.commit()
        seen += await copy.sync()
        assert sorted(key for _, key in keys(seen)) == sorted([str(one), str(other)])
        assert copy.documents == {}

    async def test_of_a_set(
        self, athlete: Actor, copy: Copy, writers: list[Connection], connection: Connection
    ) -> None:
        session, other = await start(athlete), await start(athlete)
        exercise = await add_exercise(athlete, session)
        await copy.sync()
        late = writers[0].transaction()
        await late.start()
        await Rows(writers[0]).add("training_session_sets", session_exercise_id=exercise["id"])
        await touch(writers[1], "training_session", UUID(other["id"]))
        seen = await copy.look()
        await late.commit()
        seen += await copy.sync()
        assert sorted(key for _, key in keys(seen)) == sorted([session["id"], other["id"]])
        assert copy.documents["training_session", session["id"]] == await read(athlete, session)

    async def test_that_never_happen_hold_nothing_back_for_long(
        self, athlete: Actor, copy: Copy, writers: list[Connection]
    ) -> None:
        failing = writers[0].transaction()
        await failing.start()
        await add(writers[0], "run", athlete)
        committed = await add(writers[1], "run", athlete)
        await copy.look()
        await failing.rollback()
        await copy.sync()
        assert keys(copy.received) == [("run", str(committed))]

    async def test_of_a_transaction_that_was_numbered_before_the_change_that_it_waited_for(
        self, athlete: Actor, copy: Copy, writers: list[Connection], connection: Connection
    ) -> None:
        key = await add(connection, "run", athlete)
        await copy.sync()
        early = writers[0].transaction()
        await early.start()
        await writers[0].fetchval("SELECT pg_current_xact_id()")
        await touch(writers[1], "run", key)
        seen = await copy.look()
        await touch(writers[0], "run", key)
        seen += await copy.look()
        await early.commit()
        seen += await copy.sync()
        assert seen[-1]["etag"] == '"3-owner"'
        assert_nothing_twice(copy)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "write", "delete", "commit", "commit", "rollback", "look"]),
        st.integers(0, WRITERS - 1),
        st.integers(0, ROWS - 1),
    ),
    max_size=40,
)


class Schedule:
    """Transactions side by side. A row that one of them has written is left alone by the others until it ends."""

    def __init__(self, athlete: Actor, writers: list[Connection], rows: list[tuple[str, UUID]]) -> None:
        self._athlete = athlete
        self._writers = writers
        self._rows = rows
        self._open: dict[int, Any] = {}
        self._held: dict[int, int] = {}

    async def write(self, writer: int, row: int) -> None:
        """Change a row, if it is still there, and make another one."""
        if await self._holds(writer, row):
            kind, key = self._rows[row]
            await touch(self._writers[writer], kind, key)
            await add(self._writers[writer], kind, self._athlete)

    async def delete(self, writer: int, row: int) -> None:
        if await self._holds(writer, row):
            await delete(self._writers[writer], *self._rows[row])

    async def commit(self, writer: int, _: int) -> None:
        if writer in self._open:
            await self._open[writer].commit()
            self._end(writer)

    async def rollback(self, writer: int, _: int) -> None:
        if writer in self._open:
            await self._open[writer].rollback()
            self._end(writer)

    async def end(self) -> None:
        for writer in list(self._open):
            await self.commit(writer, 0)

    def _end(self, writer: int) -> None:
        del self._open[writer]
        self._held = {row: holder for row, holder in self._held.items() if holder != writer}

    async def _holds(self, writer: int, row: int) -> bool:
        if self._held.setdefault(row, writer) != writer:
            return False
        if writer not in self._open:
            self._open[writer] = self._writers[writer].transaction()
            await self._open[writer].start()
        return True


class TestSequences:
    @given(steps=STEPS, page_size=st.sampled_from([1, 2, 5, 100]))
    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    async def test_the_copy_becomes_what_is_stored(
        self,
        athlete: Actor,
        writers: list[Connection],
        connection: Connection,
        steps: list[tuple[str, int, int]],
        page_size: int,
    ) -> None:
        copy = Copy(athlete.client, connection, page_size)
        rows = [(kind, await add(connection, kind, athlete)) for kind in [*KINDS, "training_session"]]
        schedule = Schedule(athlete, writers, rows)
        try:
            for step, writer, row in steps:
                await (copy.look() if step == "look" else getattr(schedule, step)(writer, row))
        finally:
            await schedule.end()
        await copy.sync()
        assert {key: item["etag"] for key, item in copy.items.items() if item["document"]} == {
            (kind, str(row["id"])): f'"{row["version"]}-owner"'
            for kind, (table, owner) in TABLES.items()
            for row in await connection.fetch(f"SELECT id, version FROM {table} WHERE {owner} = $1", athlete.id)
        }
        assert_nothing_twice(copy)
        assert await copy.sync() == []


class TestClients:
    async def test_a_client_that_asks_while_others_write_has_everything_in_the_end(
        self, athlete: Actor, make_app: MakeApp, connection: Connection
    ) -> None:
        others = (await make_app()).client()
        await sign_in(others, athlete.email)
        copy = Copy(others, connection, 3)
        sessions = [await start(athlete) for _ in range(4)]
        exercises = [await add_exercise(athlete, session) for session in sessions]

        async def train(session: dict[str, Any], exercise: dict[str, Any]) -> None:
            for number in range(8):
                await add_sets(athlete, session, exercise, {"repsCompleted": number})

        writing = asyncio.gather(*map(train, sessions, exercises))
        while not writing.done():
            await copy.look()
        await writing
        await copy.sync()
        for session in sessions:
            assert copy.documents["training_session", session["id"]] == await read(athlete, session)
        assert_nothing_twice(copy)
