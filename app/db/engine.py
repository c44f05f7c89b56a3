"""The engine: one pool for each worker, watched for slow and failed statements."""

from functools import partial
from pathlib import Path
from typing import Any

import structlog
from advanced_alchemy.extensions.litestar import (
    AlembicAsyncConfig,
    AsyncSessionConfig,
    EngineConfig,
    SQLAlchemyAsyncConfig,
)
from asyncpg import Connection, Record
from asyncpg.connection import LoggedQuery
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from app.db.base import Base
from app.db.connecting import connect
from app.logs import request_id
from app.settings import Settings

__all__ = ("CONNECT_WITHIN", "MIGRATIONS", "database_config", "log_statements", "watch")

MIGRATIONS = Path(__file__).parents[2] / "migrations"
CONNECT_WITHIN = 5
"""Seconds for a new connection, and for a free one of the pool."""

_log = structlog.get_logger("irontrack.database")


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
            pool_timeout=CONNECT_WITHIN,
            pool_recycle=settings.database.pool_recycle,
            pool_use_lifo=True,
            connect_args={
                "timeout": CONNECT_WITHIN,
                "statement_cache_size": cache,
                "prepared_statement_cache_size": cache,
                "async_creator_fn": partial(connect, password_file=settings.database.password_file),
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


def log_statements(connection: "Connection[Record]", slow_ms: int) -> None:
    """Log the slow and the failed statements of a connection, with the id of their request."""

    def log_statement(query: LoggedQuery) -> None:
        if query.exception is not None:
            _log.warning(
                "statement failed", statement=query.query, error=str(query.exception), request_id=request_id.get()
            )
        elif query.elapsed * 1000 >= slow_ms:
            _log.warning(
                "slow statement",
                statement=query.query,
                milliseconds=round(query.elapsed * 1000),
                request_id=request_id.get(),
            )

    connection.add_query_logger(log_statement)


def watch(engine: AsyncEngine, slow_ms: int) -> None:
    """Log the engine's slow and failed statements, and never hand out a connection that is closed."""

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        log_statements(_driver(connection), slow_ms)

    @event.listens_for(engine.sync_engine, "checkout")
    def _on_checkout(connection: DBAPIConnection, _: ConnectionPoolEntry, __: PoolProxiedConnection) -> None:
        if _driver(connection).is_closed():
            # The pool opens another one: costs nothing, while a ping would cost a round trip each time.
            raise DisconnectionError


def _driver(connection: DBAPIConnection) -> Any:
    return connection.driver_connection
