"""Reads that may be answered by a streaming standby, which never miss a write that was answered before.

The primary is asked how far its log of changes had been written when the read began; the standby answers once it has
replayed as much, and the primary does when that takes too long. So it does not matter who wrote, through which node,
or from which device, and nothing about it has to be remembered anywhere.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final, Self

import asyncpg
import structlog
from asyncpg import Connection, Record
from prometheus_client import Counter

from app.db.reader import Reader
from app.settings import Settings

__all__ = ("StandbyReader",)

# Whoever commits without waiting for the disk has been answered before the log was flushed.
_WRITTEN: Final = """
SELECT ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::bigint AS timeline, (lsn - '0/0')::bigint AS position
FROM (SELECT CASE current_setting('synchronous_commit')
    WHEN 'off' THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END) AS written (lsn)
"""
# Of its own, before the read: a statement sees what was replayed when it began, not while it ran. The timeline is noted
# a while after the standby has come to it, never before.
_REPLAYED: Final = """
SELECT greatest(noted.timeline_id, needed.min_recovery_end_timeline)::bigint AS timeline,
    (pg_last_wal_replay_lsn() - '0/0')::bigint AS position
FROM pg_control_checkpoint() AS noted, pg_control_recovery() AS needed WHERE pg_is_in_recovery()
"""
_LOOK_EVERY: Final = 0.005
_ANSWER_WITHIN: Final = 1.0
_PAUSE: Final = 1.0
_LOST: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_answered = Counter("irontrack_standby_reads", "Reads that a standby may answer, by who did.", ["server"])
_log = structlog.get_logger("irontrack.database")


class _Behind(Exception):
    """The standby has not replayed enough, follows another history than the primary's, or is none any more."""


class StandbyReader:
    """Sends statements that read to the standby, if there is one and it knows enough; else to the primary.

    What it returns includes every write that was answered before, as `Reader`'s does.

    Attributes:
        standby: reads on the standby; None: there is none.
    """

    def __init__(self, primary: Reader, standby: Reader | None, wait: float) -> None:
        """
        Args:
            primary: answers in the standby's place.
            standby: None: there is none.
            wait: seconds that a read waits for the standby.
        """
        self._primary = primary
        self.standby = standby
        self._wait = wait
        self._avoided_until = 0.0

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, primary: Reader) -> AsyncIterator[Self]:
        """A reader of the standby that the settings name; its connections are closed when the block ends."""
        if not settings.database.standby_url:
            yield cls(primary, None, 0)
            return
        async with Reader.opened(settings, settings.sqlalchemy_standby_url, "standby", "standby") as standby:
            yield cls(primary, standby, settings.database.standby_wait)

    async def fetch(self, statement: str, *arguments: object) -> list[Record]:
        """All rows."""
        if self.standby is None:
            return await self._primary.fetch(statement, *arguments)
        if monotonic() >= self._avoided_until:
            try:
                rows = await self._fetch_from(self.standby, statement, *arguments)
            except _Behind:
                self._avoided_until = monotonic() + _PAUSE
            except _LOST as error:
                # What is wrong with the statement itself the primary will tell.
                self._avoided_until = monotonic() + _PAUSE
                _log.warning("standby not used", error=type(error).__name__)
            else:
                _answered.labels("standby").inc()
                return rows
        _answered.labels("primary").inc()
        return await self._primary.fetch(statement, *arguments)

    async def _fetch_from(self, standby: Reader, statement: str, *arguments: object) -> list[Record]:
        [written] = await self._primary.fetch(_WRITTEN)
        limit = asyncio.timeout(_ANSWER_WITHIN + self._wait)
        async with limit, standby.connection() as connection:
            await self._catch_up(connection, written)
            limit.reschedule(None)
            rows: list[Record] = await connection.fetch(statement, *arguments)
        return rows

    async def _catch_up(self, connection: Connection, written: Record) -> None:
        until = monotonic() + self._wait
        while True:
            replayed: Record | None = await connection.fetchrow(_REPLAYED)
            # Positions of two timelines say nothing of each other: a former primary may have come further than the new
            # one, and lacks what that has written since.
            if replayed is None or replayed["timeline"] != written["timeline"]:
                raise _Behind
            if replayed["position"] >= written["position"]:
                return
            if monotonic() >= until:
                raise _Behind
            await asyncio.sleep(_LOOK_EVERY)
