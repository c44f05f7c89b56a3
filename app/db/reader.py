"""Reads of one statement, straight on asyncpg.

A session of SQLAlchemy costs ten times what such a statement does, and none of what it offers is needed here. The pool is small
and apart from the sessions' one; together they have MAX_POOL_SIZE connections.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self

import asyncpg
from asyncpg import Connection, Record
from asyncpg.pool import PoolConnectionProxy

from app.db.engine import CONNECT_WITHIN, log_statements
from app.settings import Settings

__all__ = ("Reader",)


class Reader:
    """Sends statements that read, each by itself and outside of transactions.

    What it returns is committed, and includes every write that was answered before.
    """

    def __init__(self, pool: "asyncpg.Pool[Record]") -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator[Self]:
        """A reader with a pool of its own, which connects when it is first used."""

        async def prepare(connection: "Connection[Record]") -> None:
            log_statements(connection, settings.database.slow_ms)

        async def keep(_: "PoolConnectionProxy[Record]") -> None:
            """Nothing that a reader does needs to be reset; the pool would ask the server to each time."""

        async with asyncpg.create_pool(
            settings.driver_url,
            min_size=0,
            max_size=settings.database.readers,
            max_inactive_connection_lifetime=settings.database.pool_recycle,
            timeout=CONNECT_WITHIN,
            statement_cache_size=settings.database.statement_cache,
            init=prepare,
            reset=keep,
        ) as pool:
            yield cls(pool)

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Lends a connection, for reads alone."""
        lent: AbstractAsyncContextManager[Connection] = self._pool.acquire(timeout=CONNECT_WITHIN)
        return lent

    async def fetch(self, statement: str, *arguments: object) -> list[Record]:
        """All rows."""
        async with self._pool.acquire(timeout=CONNECT_WITHIN) as connection:
            rows: list[Record] = await connection.fetch(statement, *arguments)
        return rows

    async def fetchrow(self, statement: str, *arguments: object) -> Record | None:
        """The first row, if there is any."""
        async with self._pool.acquire(timeout=CONNECT_WITHIN) as connection:
            row: Record | None = await connection.fetchrow(statement, *arguments)
        return row

    async def warm(self) -> None:
        """Open the connections before requests need them: each costs some 25 ms of CPU."""
        opened = [await self._pool.acquire() for _ in range(self._pool.get_max_size())]
        for connection in opened:
            await self._pool.release(connection)
