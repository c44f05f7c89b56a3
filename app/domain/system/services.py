"""The state of the service itself, and what is dropped when it has expired."""

import asyncio
from collections.abc import Callable
from time import monotonic

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from app.db.engine import MIGRATIONS
from app.domain.system.dto import Health
from app.settings import VERSION, Settings

__all__ = ("HealthService", "sweep")

_LOOK_AGAIN_AFTER = 1.0
_ANSWER_WITHIN = 1.0

_SWEEP = text("""
    WITH keys AS (DELETE FROM idempotency_key WHERE created_at < now() - interval '24 hours'),
         imports AS (DELETE FROM run_import WHERE status = 'receiving' AND created_at < now() - interval '1 day'),
         stones AS (DELETE FROM tombstone WHERE deleted_at < now() - interval '1 year'),
         tokens AS (
             DELETE FROM api_token
             WHERE expires_at < now() - interval '30 days' OR revoked_at < now() - interval '30 days'
         )
    DELETE FROM user_session WHERE expires_at < now() - interval '30 days' OR revoked_at < now() - interval '30 days'
""")


async def sweep(session: AsyncSession) -> None:
    """Drop what has expired: kept answers after a day, tombstones after a year, sessions and API tokens 30 days after
    their end, and what a worker that died has left of an archive when nobody can be sending it any more."""
    await session.execute(_SWEEP)


class HealthService:
    """Looks whether PostgreSQL and Valkey answer, at most once a second however often it is asked."""

    def __init__(self, settings: Settings, sessions: Callable[[], AsyncSession], valkey: Valkey) -> None:
        self._name = settings.app.name
        self._sessions = sessions
        self._valkey = valkey
        self._looking = asyncio.Lock()
        self._looked_at = -_LOOK_AGAIN_AFTER
        self._revision: str | None = None
        self._database = self._cache = False
        self._head: str | None = None

    async def look(self) -> Health:
        """Whether all is well."""
        await self._refresh()
        return Health(
            status="ok" if self._database and self._cache else "degraded",
            app=self._name,
            service="irontrack",
            version=VERSION,
            database="connected" if self._database else "disconnected",
            database_status="online" if self._database else "offline",
            cache_status="online" if self._cache else "offline",
        )

    async def is_ready(self) -> bool:
        """Whether PostgreSQL answers and has the schema of this version."""
        await self._refresh()
        return self._database and self._revision == self._newest_revision()

    def _newest_revision(self) -> str | None:
        if self._head is None:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            self._head = ScriptDirectory.from_config(config).get_current_head()
        return self._head

    async def _refresh(self) -> None:
        async with self._looking:
            if monotonic() - self._looked_at < _LOOK_AGAIN_AFTER:
                return
            self._database, self._cache = await asyncio.gather(self._ask_database(), self._ask_cache())
            self._looked_at = monotonic()

    async def _ask_database(self) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN), self._sessions() as session:
                known = await session.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
                query = text("SELECT version_num FROM alembic_version")
                self._revision = await session.scalar(query) if known else None
        except (SQLAlchemyError, OSError, TimeoutError):
            return False
        return True

    async def _ask_cache(self) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                await self._valkey.ping()
        except (ValkeyError, OSError, TimeoutError):
            return False
        return True
