"""The one place where transactions begin and end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from contextvars import ContextVar
from uuid import UUID

from asyncpg import Connection
from sqlalchemy.ext.asyncio import AsyncSession

Publish = Callable[[Collection[UUID]], Awaitable[None]]


class Deadline:
    """The time limit of a request."""

    __slots__ = ()

    def lift(self) -> None:
        """Let the request take as long as it needs from here on."""


deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)
"""The time limit of the current request. It is lifted before a commit, so that a commit is never cut."""

_TOPICS = "topics"


def announce(session: AsyncSession, *topics: UUID) -> None:
    """Tell every worker, once this transaction is committed and before the answer is sent, what has changed.

    Args:
        session: whose transaction changes it.
        topics: ids of users whose rights or profile changed, or the reserved topics of app.security.invalidations.
    """
    session.info.setdefault(_TOPICS, set()).update(topics)


async def raw_connection(session: AsyncSession) -> "Connection":
    """The asyncpg connection below a session, for reads of one statement.

    A statement sent this way begins no transaction, but takes part in one that the session has begun.
    """
    adapted = await (await session.connection()).get_raw_connection()
    connection: Connection = adapted.driver_connection
    return connection


class Transactions:
    """Begins transactions, of requests and of commands alike.

    Attributes:
        sessions: makes the sessions.
    """

    def __init__(self, sessions: Callable[[], AsyncSession], publish: Publish) -> None:
        self.sessions = sessions
        self._publish = publish

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A session whose transaction is committed when the block ends, and rolled back when it raises.

        What was announced is published after the commit and before the block is left.

        Raises:
            Exception: whatever the block or the commit raises; nothing is stored then.
        """
        session = self.sessions()
        try:
            yield session
            if session.in_transaction() or _TOPICS in session.info:
                await uninterrupted(_finish(session, self._publish))
        finally:
            await session.close()


async def _finish(session: AsyncSession, publish: Publish) -> None:
    if limit := deadline.get():
        limit.lift()
    topics: set[UUID] = session.info.get(_TOPICS, set())
    try:
        await session.commit()
    finally:
        # Also after a failed commit: it may have reached the server before the connection broke.
        if topics:
            await publish(topics)


async def uninterrupted(step: Awaitable[None]) -> None:
    """Wait for a step to end, even when the request is cancelled (its client gone) meanwhile."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
