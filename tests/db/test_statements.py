"""What is told of statements, also of those that SQLAlchemy sends by itself."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.statements import Statement, observe_engine, statement_observers
from tests.servers import Database


async def test_the_first_statement_of_a_pool_may_fail_like_any_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy looks at the server with it, over a connection that nothing can be kept about."""
    engine = create_async_engine(database.url)
    observe_engine(engine.sync_engine, slow_ms=1000)
    dialect = engine.sync_engine.dialect
    monkeypatch.setattr(dialect, "initialize", lambda connection: connection.exec_driver_sql("SELECT 1 / 0"))
    told: list[Statement] = []
    monkeypatch.setattr("app.db.statements.statement_observers", [*statement_observers, told.append])
    with pytest.raises(DBAPIError, match="division by zero"):
        await engine.connect()
    await engine.dispose()
    assert [(statement.text, type(statement.error)) for statement in told] == [
        ("SELECT 1 / 0", asyncpg.DivisionByZeroError)
    ]
