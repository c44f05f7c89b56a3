"""The schema: made by migrations, undone by them, and the same as the models say."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from advanced_alchemy.alembic.commands import AlembicCommands
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.base import Base
from app.db.engine import database_config
from app.settings import load_settings
from tests.db.rows import VALID, Rows
from tests.servers import Database, driver_url

MakeDatabase = Callable[[], Awaitable[str]]

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
OWN_FUNCTIONS = """
SELECT proname FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""
COLUMNS = """
SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
    pg_get_expr(adbin, adrelid)
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
JOIN pg_class c ON c.oid = a.attrelid
WHERE attnum > 0 AND NOT attisdropped
    AND relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype NOT IN ('t', 'n')
    AND conrelid::regclass::text <> 'alembic_version'
"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"

# What models refer to and don't make.
WRITING_TRANSACTION = """
CREATE FUNCTION writing_transaction(anyelement) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT NULL::bigint'
"""
SPLITS_AGREE = """
CREATE FUNCTION splits_agree(jsonb, numeric, integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'
"""

UNINDEXED = """
SELECT c.conrelid::regclass::text, c.conname
FROM pg_constraint c
WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]
    AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) LIKE '%IS NOT NULL%'))
"""
NOT_PARTIAL = """
SELECT c.conrelid::regclass::text, a.attname
FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND NOT a.attnotnull AND NOT EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = a.attnum
    AND pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname))
"""


def commands(url: str) -> AlembicCommands:
    return AlembicCommands(sqlalchemy_config=database_config(load_settings({"DATABASE_URL": url})))


async def upgrade(url: str) -> None:
    await asyncio.to_thread(commands(url).upgrade)


async def downgrade(url: str) -> None:
    await asyncio.to_thread(commands(url).downgrade, "base")


async def every_table_filled(url: str) -> None:
    connection = await asyncpg.connect(driver_url(url))
    for table in VALID:
        await Rows(connection).add(table)
    await connection.close()


async def ask(url: str, *queries: str) -> list[set[tuple[object, ...]]]:
    connection = await asyncpg.connect(driver_url(url))
    answers = [{tuple(row) for row in await connection.fetch(query)} for query in queries]
    await connection.close()
    return answers


async def test_down_to_nothing_and_up_again_with_rows(make_database: MakeDatabase) -> None:
    url = await make_database()
    for _ in range(2):
        await upgrade(url)
        await every_table_filled(url)
        await downgrade(url)
        assert await ask(url, TABLES, OWN_FUNCTIONS) == [{("alembic_version",)}, set()]
    await upgrade(url)


async def test_a_failed_upgrade_leaves_nothing_behind(make_database: MakeDatabase) -> None:
    url = await make_database()
    connection = await asyncpg.connect(driver_url(url))
    await connection.execute("CREATE TABLE tombstone ()")
    await connection.close()
    with pytest.raises(ProgrammingError, match="already exists"):
        await upgrade(url)
    assert await ask(url, TABLES) == [{("tombstone",)}]


async def test_no_drift(database: Database) -> None:
    await asyncio.to_thread(commands(database.url).check)


async def test_migrations_make_what_the_models_describe(database: Database, make_database: MakeDatabase) -> None:
    described = await make_database()
    connection = await asyncpg.connect(driver_url(described))
    await connection.execute("CREATE EXTENSION pg_trgm")
    await connection.execute(WRITING_TRANSACTION)
    await connection.execute(SPLITS_AGREE)
    await connection.close()
    engine = create_async_engine(described)
    async with engine.begin() as transaction:
        await transaction.run_sync(Base.metadata.create_all)
    await engine.dispose()
    queries = (COLUMNS, CONSTRAINTS, INDEXES)
    assert await ask(database.url, *queries) == await ask(described, *queries)


async def test_every_referencing_column_has_an_index_partial_where_it_is_nullable(database: Database) -> None:
    assert await ask(database.url, UNINDEXED, NOT_PARTIAL) == [set(), set()]


@pytest.mark.parametrize("table", VALID)
async def test_every_table_has_a_valid_row(rows: Rows, table: str) -> None:
    await rows.add(table)
    await rows.settle()


def test_every_table_is_tested() -> None:
    assert set(VALID) == set(Base.metadata.tables)
