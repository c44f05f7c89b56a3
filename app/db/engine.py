"""The engine: one pool for each worker, watched for slow and failed statements."""

from pathlib import Path
from time import monotonic
from typing import Any

from advanced_alchemy.extensions.litestar import (
    AlembicAsyncConfig,
    AsyncSessionConfig,
    EngineConfig,
    SQLAlchemyAsyncConfig,
)
from prometheus_client import Histogram
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection

from app.db.base import Base
from app.db.connecting import CONNECT_WITHIN, Connector
from app.db.statements import observe_engine, observe_queries
from app.settings import Settings

__all__ = (
    "MIGRATIONS",
    "WatchedPool",
    "database_config",
    "note_wait",
    "watch",
)

MIGRATIONS = Path(__file__).parents[2] / "migrations"
_READ_ONLY = "25006"
_NO_WAIT = 0.001

_waits = Histogram(
    "irontrack_connection_wait_seconds",
    "Seconds waited for a connection to PostgreSQL, where it was more than a millisecond.",
    ["pool"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


def note_wait(pool: str, began: float) -> None:
    """Count the wait for a connection that began at that instant of the monotonic clock."""
    waited = monotonic() - began
    if waited > _NO_WAIT:
        _waits.labels(pool).observe(waited)


class WatchedPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool, which knows who waits for a connection.

    Attributes:
        waiting: for a connection, a new one included.
    """

    waiting = 0

    def connect(self) -> PoolProxiedConnection:
        """A connection."""
        began = monotonic()
        self.waiting += 1
        try:
            return super().connect()
        finally:
            self.waiting -= 1
            note_wait("transactions", began)


def database_config(settings: Settings) -> SQLAlchemyAsyncConfig:
    """Advanced Alchemy's configuration of our database. Connects to nothing."""
    cache = settings.database.statement_cache
    return SQLAlchemyAsyncConfig(
        connection_string=settings.sqlalchemy_url or None,
        metadata=Base.metadata,
        session_config=AsyncSessionConfig(expire_on_commit=False, autoflush=False),
        engine_config=EngineConfig(
            pool_size=settings.database.pool_size - settings.database.readers,
            max_overflow=0,
            poolclass=WatchedPool,
            pool_timeout=CONNECT_WITHIN,
            pool_recycle=settings.database.pool_recycle,
            pool_use_lifo=True,
            connect_args={
                "timeout": CONNECT_WITHIN,
                "statement_cache_size": cache,
                "prepared_statement_cache_size": cache,
                "async_creator_fn": Connector(settings.database.password_file),
            },
        ),
        alembic_config=AlembicAsyncConfig(script_location=str(MIGRATIONS), version_table_name="alembic_version"),
        # Sessions are handed out by app.http.session, whose transactions end before the answer is sent.
        session_dependency_key="unmanaged_session",
        set_default_exception_handler=False,
        # Triggers keep updated_at, and no files are stored: each of these would watch every session for nothing.
        enable_touch_updated_timestamp_listener=False,
        enable_file_object_listener=False,
    )


def watch(engine: AsyncEngine, slow_ms: int) -> None:
    """Log the engine's slow and failed statements, and never hand out a connection that is of no use any more: one that
    is closed, or one whose server turned out to be a standby by now."""
    observe_engine(engine.sync_engine, slow_ms)

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        observe_queries(_driver(connection), slow_ms)

    @event.listens_for(engine.sync_engine, "checkout")
    def _on_checkout(connection: DBAPIConnection, _: ConnectionPoolEntry, __: PoolProxiedConnection) -> None:
        if _driver(connection).is_closed():
            # The pool opens another one: costs nothing, while a ping would cost a round trip each time.
            raise DisconnectionError

    @event.listens_for(engine.sync_engine, "handle_error")
    def _on_error(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            # All connections of the pool are opened anew, to the server that takes writes now.
            context.is_disconnect = True


def _driver(connection: DBAPIConnection) -> Any:
    return connection.driver_connection
