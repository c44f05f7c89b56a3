"""Training sessions: always the caller's own. Every statement here is limited to them.

Writers of one session lock its row first; so they take turns, and what they count and number is right. The version of
the session is kept by triggers, whichever of its rows was written.
"""

from datetime import UTC, datetime
from uuid import UUID

from asyncpg import Connection
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.paging import Precondition, Versioned
from app.db.timezones import canonical_timezone
from app.db.transaction import raw_connection
from app.domain.history.children import SessionExerciseService, SessionSetService
from app.domain.history.documents import (
    SESSION_COLUMNS,
    KeptSession,
    LockedSession,
    lock_session,
    read_session,
    session_of,
)
from app.domain.history.dto import NewSession, SessionChange, TrainingSession
from app.domain.history.models import EXTERNAL_ID_TAKEN, SessionStatus
from app.domain.history.reading import SessionReader
from app.domain.history.rules import check_same, check_source, check_start, duration_of
from app.domain.history.starting import insert_session, template_of
from app.domain.system.models import TombstoneKind
from app.errors import Conflict, Gone, NotFound, RuleBroken
from app.security.principal import Principal

__all__ = ("SessionExerciseService", "SessionReader", "SessionService", "SessionSetService")

_DETAILS = ("notes", "perceived_effort", "source", "external_id")

_FIND = f"""
SELECT {SESSION_COLUMNS}, stone.id IS NOT NULL AS was_deleted
FROM (VALUES (1)) AS one
LEFT JOIN training_sessions s ON s.id = $1 AND s.user_id = $2
LEFT JOIN tombstone stone ON stone.user_id = $2 AND stone.kind = $3 AND stone.id = $1
"""  # noqa: S608 (every text here is a constant; values are parameters)

_HAS_EXTERNAL = """
SELECT EXISTS (SELECT FROM training_sessions WHERE user_id = $1 AND source = $2 AND external_id = $3)
"""

_CHANGE_SESSION = """
UPDATE training_sessions
SET status = $2, start_time = $3, end_time = $4, duration_seconds = $5, user_timezone = $6, notes = $7,
    perceived_effort = $8, source = $9, external_id = $10
WHERE id = $1
"""

# A trigger leaves the tombstone.
_DELETE_SESSION = "DELETE FROM training_sessions WHERE id = $1"


class SessionService:
    """Begins, corrects, ends and deletes training sessions of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def start(self, data: NewSession, principal: Principal) -> KeptSession:
        """Begin a session. An id that is there already answers with what is stored, and changes nothing.

        Raises:
            Conflict: another session has the externalId.
            Gone: a session of this id was deleted.
            NotFound: there is no such template, or the id is somebody else's.
            RuleBroken: the time zone is unknown, the start lies too far ahead, or the unit is not in the plan.
        """
        check_source(data.source, data.external_id)
        if data.start_time:
            check_start(data.start_time, datetime.now(UTC))
        zone = principal.timezone
        if data.user_timezone:
            zone = await canonical_timezone(self._session, data.user_timezone, "userTimezone")
        connection = await raw_connection(self._session)
        try:
            template = await template_of(connection, data, principal)
        except (NotFound, RuleBroken):
            # Sent again after the template went, was unshared or changed.
            if data.id and (stored := await _find(connection, data.id, principal)):
                return KeptSession(stored, is_new=False)
            raise
        session_id = data.id or uuid7()
        is_new = await insert_session(self._session, session_id, data, principal, zone, template)
        stored = await _find(connection, session_id, principal)
        if stored is None:
            taken = (principal.user_id, data.source, data.external_id)
            raise Conflict(EXTERNAL_ID_TAKEN) if await connection.fetchval(_HAS_EXTERNAL, *taken) else NotFound
        return KeptSession(stored, is_new)

    async def change(
        self, session_id: UUID, data: SessionChange, principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingSession]:
        """Correct a session of any status; its duration follows its times.

        Raises:
            NotFound: the caller has no such session.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: the times fit neither each other nor the status, the time zone is unknown, or exercises differ.
        """
        zone = None
        if data.user_timezone is not UNSET:
            zone = await canonical_timezone(self._session, data.user_timezone, "userTimezone")
        stored = await lock_session(self._session, session_id, principal, precondition)
        if data.exercises is not UNSET:
            current = await read_session(await raw_connection(self._session), session_id, principal.user_id)
            check_same("exercises", data.exercises, current.document.exercises)
        start = stored.start_time
        if data.start_time is not UNSET:
            check_start(data.start_time, stored.now)
            start = data.start_time
        changed = stored._replace(
            start_time=start,
            end_time=stored.end_time if data.end_time is UNSET else data.end_time,
            user_timezone=zone or stored.user_timezone,
            **{name: value for name in _DETAILS if (value := getattr(data, name)) is not UNSET},
        )
        check_source(changed.source, changed.external_id)
        return await self._store(session_id, changed, principal)

    async def complete(
        self, session_id: UUID, end_time: datetime | None, principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingSession]:
        """End a session as done, now or at a given time.

        Raises:
            Conflict: it is not in progress.
            NotFound: the caller has no such session.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: it would end before it starts.
        """
        stored = await self._lock_in_progress(session_id, principal, precondition)
        changed = stored._replace(status=SessionStatus.COMPLETED, end_time=end_time or stored.now)
        return await self._store(session_id, changed, principal)

    async def abort(
        self, session_id: UUID, principal: Principal, precondition: Precondition
    ) -> Versioned[TrainingSession]:
        """End a session as given up: now, or at its start where that lies ahead.

        Raises:
            Conflict: it is not in progress.
            NotFound: the caller has no such session.
            PreconditionFailed: it was changed in the meantime.
        """
        stored = await self._lock_in_progress(session_id, principal, precondition)
        end = max(stored.now, stored.start_time)
        return await self._store(session_id, stored._replace(status=SessionStatus.ABORTED, end_time=end), principal)

    async def delete(self, session_id: UUID, principal: Principal, precondition: Precondition) -> None:
        """Delete a session for good; its id is never used again.

        Raises:
            NotFound: the caller has no such session.
            PreconditionFailed: it was changed in the meantime.
        """
        await lock_session(self._session, session_id, principal, precondition)
        await (await raw_connection(self._session)).execute(_DELETE_SESSION, session_id)

    async def _lock_in_progress(
        self, session_id: UUID, principal: Principal, precondition: Precondition
    ) -> LockedSession:
        stored = await lock_session(self._session, session_id, principal, precondition)
        if stored.status != SessionStatus.IN_PROGRESS:
            raise Conflict(f"This session is {stored.status} already.")
        return stored

    async def _store(
        self, session_id: UUID, changed: LockedSession, principal: Principal
    ) -> Versioned[TrainingSession]:
        duration = duration_of(changed.status, changed.start_time, changed.end_time)
        connection = await raw_connection(self._session)
        await connection.execute(
            _CHANGE_SESSION,
            session_id,
            changed.status,
            changed.start_time,
            changed.end_time,
            duration,
            changed.user_timezone,
            changed.notes,
            changed.perceived_effort,
            changed.source,
            changed.external_id,
        )
        return await read_session(connection, session_id, principal.user_id)


async def _find(connection: "Connection", session_id: UUID, principal: Principal) -> Versioned[TrainingSession] | None:
    """A session of the caller, if there is one. After an INSERT of its id, a deletion that ended meanwhile is seen.

    Raises:
        Gone: it was deleted.
    """
    row = dict(await connection.fetchrow(_FIND, session_id, principal.user_id, TombstoneKind.TRAINING_SESSION))
    if row.pop("was_deleted"):
        raise Gone
    return session_of(row) if row["id"] else None
