"""Statements that were slow or failed: in the log with the ids of their request, and counted."""

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final, NamedTuple

import structlog
from asyncpg import Connection, Record
from asyncpg.connection import LoggedQuery
from prometheus_client import Counter
from sqlalchemy import event
from sqlalchemy.engine import Connection as EngineConnection
from sqlalchemy.engine import Engine, ExceptionContext

__all__ = ("Statement", "observe_engine", "observe_queries", "statement_observers")

_REFUSED: Final = "23"
"""The class of SQLSTATEs that say that a constraint does not hold, which is what constraints are for."""
_BEGAN: Final = "irontrack_began"

_statements = Counter("irontrack_statements_total", "Statements that were slow, refused or failed.", ["outcome"])
_log = structlog.get_logger("irontrack.database")


class Statement(NamedTuple):
    """One that has ended.

    Attributes:
        text: without its parameters.
        seconds: until its answer was there.
        error: why it failed, if it did.
    """

    text: str
    seconds: float
    error: BaseException | None

    @property
    def sqlstate(self) -> str:
        """PostgreSQL's code of the error."""
        return getattr(self.error, "sqlstate", None) or ""

    @property
    def reason(self) -> str:
        """What the error says, without its detail: there PostgreSQL tells values of the row."""
        return getattr(self.error, "message", None) or str(self.error) or type(self.error).__name__


statement_observers: list[Callable[[Statement], None]] = []
"""Called with each statement, in the context of its request."""


def observe_queries(connection: "Connection[Record]", slow_ms: int) -> None:
    """Observe what is sent over a connection of asyncpg by itself: all but what is prepared by hand."""

    def note(query: LoggedQuery) -> None:
        _note(slow_ms, Statement(query.query, query.elapsed, query.exception))

    connection.add_query_logger(note)


def observe_engine(engine: Engine, slow_ms: int) -> None:
    """Observe what SQLAlchemy sends: it prepares each statement by hand, which asyncpg tells nobody of."""
    note = partial(_note, slow_ms)

    @event.listens_for(engine, "before_cursor_execute")
    def _before(_: EngineConnection, __: Any, ___: str, ____: Any, execution: Any, *_____: Any) -> None:
        setattr(execution, _BEGAN, monotonic())

    @event.listens_for(engine, "after_cursor_execute")
    def _after(_: EngineConnection, __: Any, statement: str, ___: Any, execution: Any, executemany: bool) -> None:  # noqa: FBT001
        if not executemany:
            note(Statement(statement, monotonic() - getattr(execution, _BEGAN), None))

    @event.listens_for(engine, "handle_error")
    def _failed(failure: ExceptionContext) -> None:
        execution = failure.execution_context
        if failure.statement and execution and not execution.executemany:
            error, now = failure.original_exception, monotonic()
            # Of those with which a pool begins nobody tells the beginning.
            note(Statement(failure.statement, now - getattr(execution, _BEGAN, now), error.__cause__ or error))


def _note(slow_ms: int, statement: Statement) -> None:
    for observe in statement_observers:
        observe(statement)
    if statement.error is not None:
        refused = statement.sqlstate.startswith(_REFUSED)
        _statements.labels("refused" if refused else "failed").inc()
        (_log.info if refused else _log.warning)(
            "statement refused" if refused else "statement failed",
            statement=statement.text,
            error=statement.reason,
        )
    elif statement.seconds * 1000 >= slow_ms:
        _statements.labels("slow").inc()
        _log.warning("slow statement", statement=statement.text, milliseconds=round(statement.seconds * 1000))
