"""Rows that are never committed."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.domain.accounts import models as _accounts  # noqa: F401 -- imported so that its tables are in the metadata
from app.domain.catalogue import models as _catalogue  # noqa: F401
from app.domain.history import models as _history  # noqa: F401
from app.domain.running import models as _running  # noqa: F401
from app.domain.system import models as _system  # noqa: F401
from app.domain.training import models as _training  # noqa: F401
from tests.db.rows import Rows
from tests.servers import Database, driver_url


@pytest.fixture(scope="module")
async def module_connection(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(driver_url(database.url))
    yield connection
    await connection.close()


@pytest.fixture
async def rows(module_connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[Rows]:
    """Adds rows in a transaction that is rolled back with the test."""
    transaction = module_connection.transaction()
    await transaction.start()
    yield Rows(module_connection)
    await transaction.rollback()


@pytest.fixture
def committed_rows(connection: "asyncpg.Connection[asyncpg.Record]") -> Rows:
    """Adds rows, each in a transaction of its own."""
    return Rows(connection)
