"""Backups: PostgreSQL's own dumps, believed only after they were restored."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Self

import asyncpg
from alembic.config import Config
from alembic.script import ScriptDirectory
from msgspec import Struct
from sqlalchemy.engine import make_url

from app.db.engine import MIGRATIONS
from app.embedded.binaries import NotEmbeddable, postgres_program

__all__ = ("BackupFailed", "Place", "back_up", "restore")

# All of ours is in `public`. What others have made (PgBouncer's function, which the superuser owns) is theirs to bring.
_OTHER_SCHEMAS = (
    r"SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')"
)
_UNLIMITED = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET timezone = 'UTC'"
# Generated columns are computed anew by a restore: one of them holds the number of the transaction that wrote the row.
_TABLES = """
SELECT string_agg(
    format('SELECT %L AS name, count(*) AS rows, sum(hashtextextended(ROW(%s)::text, 0)) AS content FROM %s',
           name, columns, name),
    ' UNION ALL ' ORDER BY name)
FROM (
    SELECT c.oid::regclass::text AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    GROUP BY c.oid
) tables
"""


class BackupFailed(Exception):
    """A backup can't be made or restored. The message is one line that says why."""


class Place(Struct, frozen=True):
    """A database, and who connects to it.

    Attributes:
        host: a name, or the folder of a Unix socket.
        port: 0 is PostgreSQL's own.
        password: empty where none is needed.
    """

    host: str
    port: int
    user: str
    password: str
    database: str

    @classmethod
    def of(cls, url: str) -> Self:
        """What a URL names.

        Args:
            url: of PostgreSQL itself; not of PgBouncer, which has no sessions.

        Raises:
            BackupFailed: it names several servers.
        """
        parsed = make_url(url)
        host, port = (parsed.query.get(name, "") for name in ("host", "port"))
        if not isinstance(host, str) or not isinstance(port, str):
            raise BackupFailed("The URL names several servers: name the one that is meant.")
        return cls(
            parsed.host or host or "localhost",
            int(parsed.port or port or 5432),
            parsed.username or "",
            str(parsed.password or ""),
            parsed.database or "",
        )

    def other(self, database: str) -> "Place":
        """Another database of the same server."""
        return Place(self.host, self.port, self.user, self.password, database)

    @asynccontextmanager
    async def connected(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        """A connection without time limits.

        Raises:
            BackupFailed: there is none to be had, or a statement fails.
        """
        try:
            connection = await asyncpg.connect(
                host=self.host, port=self.port, user=self.user, password=self.password or None, database=self.database
            )
            try:
                await connection.execute(_UNLIMITED)
                yield connection
            finally:
                await connection.close()
        except (asyncpg.PostgresError, OSError) as error:
            raise BackupFailed(f"The database {self.database}: {error}.") from None

    @property
    def environment(self) -> dict[str, str]:
        """For PostgreSQL's programs: their command lines can be read by everybody."""
        own = {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user, "PGPASSWORD": self.password}
        return {**os.environ, **own, "PGDATABASE": self.database}


async def back_up(place: Place, admin: Place, file: Path) -> dict[str, int]:
    """Dump a database into a file, restore that into a scratch database, and compare each table's content.

    Args:
        admin: the same server, as a role that may make databases.
        file: is there afterwards only if all of that went well.

    Returns:
        the rows of each table.

    Raises:
        BackupFailed: something went wrong.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        async with place.connected() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            others = [f"--exclude-schema={row[0]}" for row in await connection.fetch(_OTHER_SCHEMAS)]
            options = (f"--snapshot={snapshot}", f"--file={draft}", *others)
            draft.touch(mode=0o600)
            await _run("pg_dump", place, "--format=custom", "--no-password", *options)
            dumped = await _fingerprints(connection)
        async with _restored(draft, place, admin) as scratch:
            async with scratch.connected() as connection:
                if await _fingerprints(connection) != dumped:
                    raise BackupFailed("What was restored is not what was dumped: the backup is not kept.")
            await _drop(admin, scratch.database)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return {name: rows for name, (rows, _) in dumped.items()}


async def restore(file: Path, place: Place, admin: Place) -> str:
    """Restore a dump beside a database, look at it, and let it take that one's name.

    Returns:
        the name that the former database has now.

    Raises:
        BackupFailed: the dump is broken or of an unknown version, or somebody is connected; nothing is changed then.
    """
    former = f"{place.database}_before_{datetime.now(UTC):%Y%m%d%H%M%S}"
    async with _restored(file, place, admin) as scratch:
        async with scratch.connected() as connection:
            await _check_revision(connection)
        async with admin.connected() as connection:
            count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'"
            if others := await connection.fetchval(count, place.database):
                raise BackupFailed(f"The database is in use by {others} connections: stop the service first.")
            async with connection.transaction():
                await connection.execute(f'ALTER DATABASE "{place.database}" RENAME TO "{former}"')
                await connection.execute(f'ALTER DATABASE "{scratch.database}" RENAME TO "{place.database}"')
    return former


@asynccontextmanager
async def _restored(file: Path, place: Place, admin: Place) -> AsyncIterator[Place]:
    """A new database with the content of a dump; dropped when the block fails."""
    scratch = place.other(f"{place.database}_scratch_{token_hex(4)}")
    async with admin.connected() as connection:
        await connection.execute(f'CREATE DATABASE "{scratch.database}" TEMPLATE template0 OWNER "{place.user}"')
    try:
        options = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
        await _run("pg_restore", scratch, *options, "--dbname", scratch.database, str(file))
        yield scratch
    except BaseException:
        with contextlib.suppress(BackupFailed):
            await _drop(admin, scratch.database)
        raise


async def _drop(admin: Place, database: str) -> None:
    async with admin.connected() as connection:
        await connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


async def _fingerprints(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, tuple[int, object]]:
    """Rows and content of each table."""
    statement = await connection.fetchval(_TABLES)
    rows = await connection.fetch(statement) if statement else []
    return {row["name"]: (row["rows"], row["content"]) for row in rows}


async def _check_revision(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if not await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
        raise BackupFailed("The backup is not one of this service: it has no version.")
    revision = await connection.fetchval("SELECT version_num FROM alembic_version")
    if revision not in known:
        raise BackupFailed(f"The backup is of a newer version (revision {revision}): update first.")


async def _run(program: str, place: Place, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *_program(program),
        *arguments,
        env=place.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode != 0:
        lines = said.decode(errors="replace").strip().splitlines()
        reasons = [line for line in lines if "error:" in line] or lines
        raise BackupFailed(reasons[0] if reasons else f"{program} ended with exit code {process.returncode}.")


def _program(name: str) -> Sequence[str]:
    try:
        return [str(postgres_program(name))]
    except NotEmbeddable:
        if found := shutil.which(name):
            return [found]
    raise BackupFailed(f"There is no {name} here: install PostgreSQL's client programs.")
