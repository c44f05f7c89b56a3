"""Bringing the shipped catalogue into a database."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.cli.catalogue import catalogue_group
from app.db.engine import database_config
from app.domain.catalogue.seed import SOURCE, SeedReport, load_catalogue, seed_catalogue
from tests.catalogue.exercises import Connection, shipped_id
from tests.service import Service

Sessions = async_sessionmaker[AsyncSession]

TABLES = (
    "exercises",
    "exercise_aliases",
    "exercise_equipment",
    "exercise_primary_muscles",
    "exercise_secondary_muscles",
    "exercise_tag_map",
    "muscle_groups",
    "equipment",
    "exercise_tags",
)
SHIPPED = load_catalogue()
COUNT = sum(len(exercises) for exercises in SHIPPED.exercises.values())


@pytest.fixture
async def sessions(service: Service) -> AsyncIterator[Sessions]:
    config = database_config(service.settings)
    yield config.create_session_maker()  # type: ignore[misc]
    await config.get_engine().dispose()


async def seed(sessions: Sessions) -> SeedReport:
    async with sessions() as session, session.begin():
        return await seed_catalogue(session)


async def everything(connection: Connection) -> dict[str, list[str]]:
    """Every row of the catalogue, and what the identity columns have given out."""
    rows = {
        table: [row for (row,) in await connection.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")]
        for table in TABLES
    }
    last = await connection.fetch(
        "SELECT sequencename || ' ' || coalesce(last_value, 0) FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
    )
    return {**rows, "sequences": [value for (value,) in last]}


async def empty(connection: Connection) -> None:
    for table in TABLES:
        await connection.execute(f"DELETE FROM {table}")


class TestSeedCatalogue:
    async def test_an_empty_database_gets_everything(
        self, sessions: Sessions, connection: Connection, statements: Any
    ) -> None:
        await empty(connection)
        began = time.perf_counter()
        with statements() as sent:
            report = await seed(sessions)
        assert time.perf_counter() - began < 2
        assert len(sent) < 20
        assert report == SeedReport(entries=54, added=COUNT, kept=0, refused=[])
        for key, entry in SHIPPED.exercises[next(iter(SHIPPED.exercises))].items():
            stored = await connection.fetchrow(
                """
                SELECT e.*,
                    ARRAY(SELECT alias FROM exercise_aliases WHERE exercise_id = e.id ORDER BY id) AS aliases,
                    ARRAY(SELECT name FROM exercise_primary_muscles JOIN muscle_groups ON id = muscle_group_id
                        WHERE exercise_id = e.id) AS primary_muscles,
                    ARRAY(SELECT name FROM exercise_tag_map JOIN exercise_tags ON id = tag_id
                        WHERE exercise_id = e.id) AS tags
                FROM exercises e WHERE source = $1 AND external_id = $2
                """,
                SOURCE,
                key,
            )
            assert stored is not None
            assert (stored["name"], stored["slug"], stored["is_system_default"]) == (entry.name, key, True)
            assert stored["instructions"] == " ".join(entry.sentences)
            assert tuple(stored["aliases"]) == entry.aliases
            assert set(stored["primary_muscles"]) == set(entry.primary_muscles)
            assert set(stored["tags"]) == set(entry.tags)

    async def test_again_changes_nothing(self, sessions: Sessions, connection: Connection, statements: Any) -> None:
        before = await everything(connection)
        await seed(sessions)
        with statements() as sent:
            report = await seed(sessions)
        assert report == SeedReport(entries=0, added=0, kept=COUNT, refused=[])
        assert len(sent) == 4
        assert await everything(connection) == before

    async def test_what_an_administrator_changed_is_kept(self, sessions: Sessions, connection: Connection) -> None:
        exercise_id = await shipped_id(connection, "plank")
        await connection.execute("UPDATE exercises SET name = 'Board', slug = 'board' WHERE id = $1", exercise_id)
        await connection.execute("UPDATE exercises SET is_active = false WHERE slug = 'crunch'")
        await connection.execute("UPDATE muscle_groups SET name = 'abs' WHERE name = 'abdominals'")
        before = await everything(connection)
        await seed(sessions)
        assert await everything(connection) == before

    async def test_a_missing_one_is_added_with_all_that_belongs_to_it(
        self, sessions: Sessions, connection: Connection
    ) -> None:
        counts = {table: len(rows) for table, rows in (await everything(connection)).items()}
        await connection.execute("DELETE FROM exercises WHERE slug = 'kettlebell-swing'")
        assert await seed(sessions) == SeedReport(entries=0, added=1, kept=COUNT - 1, refused=[])
        assert {table: len(rows) for table, rows in (await everything(connection)).items()} == counts

    async def test_a_taken_name_is_reported_and_the_others_are_added(
        self, sessions: Sessions, connection: Connection
    ) -> None:
        await connection.execute("UPDATE exercises SET source = NULL, external_id = NULL WHERE slug = 'plank'")
        await connection.execute("DELETE FROM exercises WHERE slug = 'burpee'")
        before = await connection.fetchval("SELECT e::text FROM exercises e WHERE slug = 'plank'")
        assert await seed(sessions) == SeedReport(entries=0, added=1, kept=COUNT - 2, refused=["plank"])
        assert await connection.fetchval("SELECT e::text FROM exercises e WHERE slug = 'plank'") == before

    async def test_two_at_once(self, sessions: Sessions, connection: Connection) -> None:
        await empty(connection)
        reports = await asyncio.gather(seed(sessions), seed(sessions))
        assert sorted(report.added for report in reports) == [0, COUNT]
        assert await connection.fetchval("SELECT count(*) FROM exercises") == COUNT


class TestCommand:
    async def invoke(self, service: Service, *arguments: str) -> str:
        variables = {"DATABASE_URL": service.settings.database.url, "VALKEY_URL": service.settings.cache.url}
        result = await asyncio.to_thread(
            CliRunner().invoke, catalogue_group, ["seed", *arguments], env=variables, catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    async def test_it_says_what_it_did(self, service: Service, connection: Connection) -> None:
        await connection.execute("DELETE FROM exercises WHERE slug = 'burpee'")
        assert await self.invoke(service) == f"Added 1 exercise, kept {COUNT - 1}.\n"
        assert await connection.fetchval("SELECT count(*) FROM exercises WHERE slug = 'burpee'") == 1

    async def test_as_json(self, service: Service) -> None:
        told = json.loads(await self.invoke(service, "--json"))
        assert told == {"entries": 0, "added": 0, "kept": COUNT, "refused": []}
