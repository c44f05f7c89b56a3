"""How migrations run: all of them in one transaction, which waits for no lock for long.

The commands are Advanced Alchemy's (`litestar database …`). The database must be reached directly, not through
PgBouncer.
"""

import asyncio
from typing import Any

from advanced_alchemy.alembic.commands import AlembicCommandConfig
from alembic import context
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.base import Base
from app.domain.accounts import models as _accounts  # noqa: F401 -- imported so that its tables are in the metadata
from app.domain.catalogue import models as _catalogue  # noqa: F401
from app.domain.history import models as _history  # noqa: F401
from app.domain.imports import models as _imports  # noqa: F401
from app.domain.running import models as _running  # noqa: F401
from app.domain.system import models as _system  # noqa: F401
from app.domain.training import models as _training  # noqa: F401

# A table that others use must not stand still while a migration waits for its lock.
LIMITS = ("SET LOCAL lock_timeout = '4s'", "SET LOCAL statement_timeout = '5min'")
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7305102486114)"

_config: AlembicCommandConfig = context.config  # type: ignore[assignment]
_comparison: dict[str, Any] = {
    "target_metadata": Base.metadata,
    "version_table": _config.version_table_name,
    "compare_type": True,
    "compare_server_default": True,
    "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
    "transaction_per_migration": False,
}


def _limit(connection: Connection) -> None:
    # On every BEGIN, because an autocommit block divides the transaction in two.
    for limit in LIMITS:
        connection.exec_driver_sql(limit)


def _migrate(connection: Connection) -> None:
    event.listen(connection, "begin", _limit)
    context.configure(connection=connection, **_comparison)
    with context.begin_transaction():
        connection.exec_driver_sql(ONE_AT_A_TIME)
        context.run_migrations()


async def _run(engine: AsyncEngine) -> None:
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


def _write_sql() -> None:
    context.configure(url=_config.db_url, literal_binds=True, **_comparison)
    with context.begin_transaction():
        for limit in LIMITS:
            context.execute(limit)
        context.run_migrations()


if context.is_offline_mode():
    _write_sql()
elif isinstance(_config.engine, AsyncEngine):
    asyncio.run(_run(_config.engine))
else:
    raise TypeError("IronTrack migrates through an asynchronous engine.")
