"""Workers that are at the same import."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.domain.imports.archive import ArchiveActivity
from app.domain.imports.reading import FileReading
from app.domain.imports.running import ImportRunner
from app.domain.imports.workshop import Workshop
from app.plugin import IronTrackPlugin
from tests.actors import Actor
from tests.db.rows import Rows
from tests.imports.files import START, Connection, gpx, packed
from tests.service import Service

FILES = 20


class SlowWorkshop(Workshop):
    """One that takes so long with the first file that the worker loses its lease."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection: Any = connection

    async def read_content(self, content: bytes) -> FileReading:
        await self._connection.execute("UPDATE run_import_item SET lease = gen_random_uuid()")
        return await super().read_content(content)


class WaitingWorkshop(Workshop):
    """One that goes on when the lease of what it reads has been renewed."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection: Any = connection

    async def read_content(self, content: bytes) -> FileReading:
        ends = "SELECT max(leased_until) FROM run_import_item"
        first = await self._connection.fetchval(ends)
        async with asyncio.timeout(10):
            while await self._connection.fetchval(ends) == first:
                pass
        return FileReading(reason="It was renewed.")


@pytest.fixture
async def workshop() -> AsyncIterator[Workshop]:
    async with Workshop.opened() as opened:
        yield opened


@pytest.fixture
async def import_id(athlete: Actor, connection: Connection) -> UUID:
    rows = Rows(connection)
    begun = await rows.add("run_import", user_id=athlete.id, total=FILES)
    for place in range(FILES):
        start = START + timedelta(days=place)
        activity = msgspec.json.encode(ArchiveActivity(f"{place}.gpx", str(place), None)).decode()
        await rows.add(
            "run_import_item",
            import_id=begun["id"],
            place=place,
            activity=activity,
            content=packed(gpx(start=start)),
            is_wrapped=True,
        )
    key: UUID = begun["id"]
    return key


def runner(service: Service, workshop: Workshop, look_every: float = 4.0) -> ImportRunner:
    resources = service.litestar.plugins.get(IronTrackPlugin).resources
    return ImportRunner(resources.transactions, resources.reader, workshop, look_every)


async def counts(connection: Connection) -> tuple[int, int, int]:
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM run_original),"
        " (SELECT count(*) FROM run_import_item)"
    )
    assert row is not None
    runs, originals, items = row
    return runs, originals, items


async def one(connection: Connection, query: str) -> tuple[Any, ...]:
    row = await connection.fetchrow(query)
    assert row is not None
    return tuple(row)


async def test_whoever_has_lost_its_lease_stores_nothing(
    service: Service, connection: Connection, import_id: UUID, workshop: Workshop
) -> None:
    slow = SlowWorkshop(connection)
    assert await runner(service, slow).work()
    await slow.close()
    assert await counts(connection) == (0, 0, FILES)
    assert await connection.fetchval("SELECT stored FROM run_import") == 0
    await connection.execute("UPDATE run_import_item SET leased_until = now() - interval '1 second'")
    other = runner(service, workshop)
    while await other.work():
        pass
    assert await counts(connection) == (FILES, FILES, 0)
    assert await one(connection, "SELECT stored, status FROM run_import") == (FILES, "completed")


async def test_a_lease_is_renewed_while_its_runs_are_read(
    service: Service, connection: Connection, import_id: UUID
) -> None:
    await connection.execute("DELETE FROM run_import_item WHERE place > 0")
    assert await runner(service, WaitingWorkshop(connection), 0.3).work()
    assert await connection.fetchval("SELECT reason FROM run_import_item") == "It was renewed."


async def test_two_at_once_store_each_once(
    service: Service, connection: Connection, import_id: UUID, workshop: Workshop
) -> None:
    worked = await asyncio.gather(*(runner(service, workshop).work() for _ in range(3)))
    assert sorted(worked) == [False, True, True]
    assert await counts(connection) == (FILES, FILES, 0)
    assert await one(connection, "SELECT stored, duplicates, status FROM run_import") == (FILES, 0, "completed")


async def test_what_is_leased_waits_for_the_end_of_the_lease(
    service: Service, connection: Connection, import_id: UUID, workshop: Workshop
) -> None:
    await connection.execute(
        "UPDATE run_import_item SET lease = $1, leased_until = now() + interval '1 hour'", import_id
    )
    assert not await runner(service, workshop).work()
    assert await counts(connection) == (0, 0, FILES)


async def test_what_fails_again_and_again_is_given_up(
    service: Service, connection: Connection, import_id: UUID, workshop: Workshop
) -> None:
    await connection.execute("UPDATE run_import_item SET attempts = CASE WHEN place = 3 THEN 10 ELSE 0 END")
    worker = runner(service, workshop)
    while await worker.work():
        pass
    assert await counts(connection) == (FILES - 1, FILES - 1, 1)
    left = await one(connection, "SELECT place, reason, content FROM run_import_item")
    assert left == (3, "It could not be stored.", None)


async def test_a_run_that_the_database_refuses_does_not_stop_the_others(
    service: Service, connection: Connection, import_id: UUID, workshop: Workshop
) -> None:
    long = msgspec.json.encode(ArchiveActivity("3.gpx", "x" * 256, None)).decode()
    await connection.execute("UPDATE run_import_item SET activity = $1 WHERE place = 3", long)
    worker = runner(service, workshop)
    while await worker.work():
        pass
    assert await counts(connection) == (FILES - 1, FILES - 1, 1)
    assert await connection.fetchval("SELECT reason FROM run_import_item") == "A text is too long."
    assert await one(connection, "SELECT failed, status FROM run_import") == (1, "completed")
