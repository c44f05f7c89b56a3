"""The servers of a test run: one PostgreSQL for all its processes, one Valkey for each."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import asyncpg

from app.embedded import THROWAWAY, EmbeddedPostgres, EmbeddedValkey
from app.settings import load_settings

_DRIVER = "postgresql+asyncpg://"
TEMPLATE = "irontrack_template"


def database_url(url: str, database: str) -> str:
    """The same server and role, another database."""
    address, _, options = url.partition("?")
    return f"{address.rpartition('/')[0]}/{database}?{options}"


def driver_url(url: str) -> str:
    """The URL as asyncpg itself reads it."""
    return url.replace(_DRIVER, "postgresql://", 1)


class TestPostgres:
    """A PostgreSQL that forgets everything, and in it a migrated and seeded database to copy.

    Attributes:
        owner_url: the template database, for the role that the service uses.
        superuser_url: the server, for whoever makes databases.
    """

    __test__ = False

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="irontrack-tests-"))
        self._server = EmbeddedPostgres(self._folder, THROWAWAY)
        self.owner_url = database_url(self._server.url, TEMPLATE)
        self.superuser_url = self._server.superuser_url

    @classmethod
    def started(cls) -> Self:
        """Start it and make the template. Its process ends with ours, however ours ends."""
        postgres = cls()
        # Imported here because only one of the processes needs it, and it loads the whole service.
        from app.cli.setup import prepare_database  # noqa: PLC0415

        asyncio.run(postgres._start())
        prepare_database(load_settings({"DATABASE_URL": postgres.owner_url}), lambda _: None)
        return postgres

    async def _start(self) -> None:
        await self._server.start()
        connection = await asyncpg.connect(driver_url(self.superuser_url))
        await connection.execute(f"CREATE DATABASE {TEMPLATE} OWNER irontrack")
        await connection.close()

    def stop(self) -> None:
        """End it and delete its files."""
        asyncio.run(self._server.stop())
        shutil.rmtree(self._folder, ignore_errors=True)


class Database:
    """The database of one test process, a copy of the template.

    Attributes:
        url: for the service.
    """

    def __init__(self, url: str, housekeeping: "asyncpg.Connection[asyncpg.Record]", clearing: str, now: int) -> None:
        self.url = url
        self._housekeeping = housekeeping
        self._clearing = clearing
        self._cleared = now

    @classmethod
    async def copied(cls, owner_url: str, superuser_url: str, name: str) -> Self:
        """Copy the template; what it holds from the start is what `clear` leaves."""
        server = await asyncpg.connect(driver_url(superuser_url))
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER irontrack")
        await server.close()
        housekeeping = await asyncpg.connect(driver_url(database_url(superuser_url, name)))
        # No triggers and no checks of foreign keys: rows go in any order, and no version moves.
        await housekeeping.execute("SET session_replication_role = replica; SET lock_timeout = '10s'")
        clearing = await _prepare_clearing(housekeeping)
        return cls(database_url(owner_url, name), housekeeping, clearing, await housekeeping.fetchval(_NOW))

    async def clear(self) -> None:
        """Delete every row that the template does not have, and bring back those that it has.

        A row that was changed is a new one to PostgreSQL, made by a transaction after the last time.
        """
        await self._housekeeping.execute(self._clearing.format(cleared=self._cleared))
        self._cleared = await self._housekeeping.fetchval(_NOW)

    async def close(self) -> None:
        """Leave the database; it goes with the server."""
        await self._housekeeping.close()


_NOW = "SELECT pg_current_xact_id()::text::bigint % (1::bigint << 32)"

_TABLES = """
SELECT c.relname,
       string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attgenerated = ''),
       string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attnum = ANY (k.conkey))
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname NOT LIKE 'alembic%'
GROUP BY c.relname
"""


async def _prepare_clearing(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    """Keep a copy of the seed, and write the statement that brings the database back to it.

    In it, {cleared} is the transaction after which rows are new.
    """
    await connection.execute("CREATE SCHEMA seed")
    statements = []
    for table, columns, key in await connection.fetch(_TABLES):
        count = await connection.fetchval(f'SELECT count(*) FROM public."{table}"')
        if not count:
            statements.append(f'DELETE FROM public."{table}"')
            continue
        await connection.execute(f'CREATE TABLE seed."{table}" AS SELECT {columns} FROM public."{table}"')
        statements.append(f'DELETE FROM public."{table}" WHERE xmin::text::bigint >= {{cleared}}')
        statements.append(
            f'INSERT INTO public."{table}" ({columns}) OVERRIDING SYSTEM VALUE '
            f'SELECT {columns} FROM seed."{table}" WHERE (SELECT count(*) < {count} FROM public."{table}") '
            f'AND ({key}) NOT IN (SELECT {key} FROM public."{table}")'
        )
    return ";".join(statements)


class TestValkey:
    """A Valkey of one test process.

    Attributes:
        url: where it is.
        server: to stop and start it.
    """

    __test__ = False

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="irontrack-tests-"))
        self.server = EmbeddedValkey(self._folder)
        self.url = self.server.url

    async def start(self) -> None:
        """Start it. Its process ends with ours."""
        await self.server.start()

    async def stop(self) -> None:
        """End it and delete its files."""
        await self.server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def environment(database: str, valkey: str, folder: Path, key: str, more: Mapping[str, str]) -> dict[str, str]:
    """The variables of a service under test: cheap password hashes, no rate limits, little log.

    Nothing looks for imports by itself, and a machine that stands still for a moment does not make the app ask who is
    calling, so that only what a test does sends statements.
    """
    return {
        "DATABASE_URL": database,
        "VALKEY_URL": valkey,
        "JWT_PRIVATE_KEY": key,
        "IRONTRACK_DATA": str(folder),
        "REVOCATION_FILE": str(folder / "revocations"),
        "ARGON2_MEMORY_KIB": "8",
        "ARGON2_TIME_COST": "1",
        "RATE_LIMIT_READS": "0",
        "RATE_LIMIT_WRITES": "0",
        "RATE_LIMIT_SIGN_IN": "0",
        "IMPORT_LOOK": "3600",
        "NEWS_WITHIN": "30",
        "LOG_LEVEL": "WARNING",
        **more,
    }
