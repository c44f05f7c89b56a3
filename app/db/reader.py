"""Reads of one statement, straight on asyncpg.

A session of SQLAlchemy costs several times what such a statement does, and none of what it offers is needed here.
asyncpg's own pool costs as much as the statement: it makes a task for each release. So the connections are lent here,
in a few lines; they are apart from those of the sessions, and together both have MAX_POOL_SIZE.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Protocol, Self

import asyncpg
from asyncpg import Connection, Record

from app.db.connecting import Connector, connection_parameters
from app.db.engine import note_wait
from app.db.statements import observe_queries
from app.settings import Settings

__all__ = ("Fetching", "Reader")


class Fetching(Protocol):
    """Whoever sends a statement that reads, and returns what includes every write that was answered before."""

    async def fetch(self, statement: str, *arguments: object) -> list[Record]:
        """All rows."""


class Reader:
    """Sends statements that read, each by itself and outside of transactions.

    What it returns is committed, and includes every write that was answered before.

    Attributes:
        pool: what its connections are called among the metrics.
        size: connections at most.
        lent: of them, in use.
        waiting: for a connection, a new one included.
    """

    def __init__(self, settings: Settings, url: str, session: str, pool: str) -> None:
        self._settings = settings
        self.pool = pool
        self._connector = Connector(settings.database.password_file, session)
        self._parameters = connection_parameters(url)
        self.size = settings.database.readers
        self.lent = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(self.size)
        self._idle: list[tuple[Connection, float]] = []

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, settings: Settings, url: str = "", session: str = "read-write", pool: str = "reads"
    ) -> AsyncIterator[Self]:
        """A reader, whose connections are closed when the block ends.

        Args:
            settings: name the database, the size of its pool, and how it is connected to.
            url: of another one with the same tables.
            session: what one of several servers has to offer, see `Connector`.
            pool: what its connections are called among the metrics.
        """
        reader = cls(settings, url or settings.sqlalchemy_url, session, pool)
        try:
            yield reader
        finally:
            while reader._idle:
                reader._idle.pop()[0].terminate()

    def connection(self) -> "Loan":
        """Lends a connection, for reads alone.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError: the database can't be reached.
        """
        return Loan(self)

    async def fetch(self, statement: str, *arguments: object) -> list[Record]:
        """All rows."""
        async with self.connection() as connection:
            rows: list[Record] = await connection.fetch(statement, *arguments)
        return rows

    async def fetchrow(self, statement: str, *arguments: object) -> Record | None:
        """The first row, if there is any."""
        async with self.connection() as connection:
            row: Record | None = await connection.fetchrow(statement, *arguments)
        return row

    async def warm(self) -> None:
        """Open the connections before requests need them: each costs some 25 ms of CPU."""
        while len(self._idle) + self.lent + self.waiting < self.size:
            # Whoever needs one meanwhile opens it by itself, and both together open no more than `size`.
            async with self._free:
                self._idle.append(await self._connect())

    async def take(self) -> tuple[Connection, float]:
        """A connection and when it was opened, to be given back."""
        began = monotonic()
        self.waiting += 1
        try:
            await self._free.acquire()
            try:
                taken = await self._idle_or_new()
            except BaseException:
                self._free.release()
                raise
        finally:
            self.waiting -= 1
            note_wait(self.pool, began)
        self.lent += 1
        return taken

    def give_back(self, connection: Connection, opened_at: float) -> None:
        """The statement has ended."""
        if not connection.is_closed():
            self._idle.append((connection, opened_at))
        self.lent -= 1
        self._free.release()

    async def _idle_or_new(self) -> tuple[Connection, float]:
        while self._idle:
            connection, opened_at = self._idle.pop()
            if connection.is_closed():
                continue
            if monotonic() - opened_at < self._settings.database.pool_recycle:
                return connection, opened_at
            connection.terminate()
        return await self._connect()

    async def _connect(self) -> tuple[Connection, float]:
        connection = await self._connector(
            **self._parameters, statement_cache_size=self._settings.database.statement_cache
        )
        observe_queries(connection, self._settings.database.slow_ms)
        return connection, monotonic()


class Loan:
    """A connection for as long as a block takes; written out, since a generator would cost a tenth of the statement."""

    __slots__ = ("_connection", "_opened_at", "_reader")

    _connection: Connection
    _opened_at: float

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def __aenter__(self) -> Connection:
        self._connection, self._opened_at = await self._reader.take()
        return self._connection

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, (asyncio.CancelledError, asyncpg.InternalClientError)):
            # What is still under way on it must not be taken for the answer of another statement.
            self._connection.terminate()
        self._reader.give_back(self._connection, self._opened_at)
