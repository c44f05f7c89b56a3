"""The history of the caller, as it is read."""

from datetime import UTC, datetime
from uuid import UUID

from app.db.paging import CursorPage, Versioned, decode_cursor, encode_cursor
from app.db.reader import Reader
from app.domain.history.documents import READ_SESSION, SESSION_COLUMNS, session_of
from app.domain.history.dto import SessionFilters, TrainingSession
from app.errors import NotFound, RuleBroken
from app.security.principal import Principal

__all__ = ("SessionReader",)

_LIST_SESSIONS = """
SELECT {columns}
FROM (SELECT * FROM training_sessions s WHERE {conditions} ORDER BY s.start_time DESC, s.id DESC LIMIT {limit}) s
ORDER BY s.start_time DESC, s.id DESC
"""

# Lists go as texts: on each new connection, asyncpg asks the catalogue about array types before their first use.
_FILTERS = {
    # The instants of a local date lie within a day of the same date in UTC; they let the index skip the other years.
    "since": "s.local_date >= ${0} AND s.start_time > (${0}::date - 1)::timestamp AT TIME ZONE 'UTC'",
    "until": "s.local_date <= ${0} AND s.start_time < (${0}::date + 2)::timestamp AT TIME ZONE 'UTC'",
    "status": "s.status = ANY (string_to_array(${0}, ','))",
    "training_plan_id": "s.training_plan_id = ANY (string_to_array(${0}, ',')::uuid[])",
    "training_unit_id": "s.training_unit_id = ANY (string_to_array(${0}, ',')::uuid[])",
    "exercise_id": "EXISTS (SELECT FROM training_session_exercises e "
    "WHERE e.training_session_id = s.id AND e.exercise_id = ANY (string_to_array(${0}, ',')::uuid[]))",
}


class SessionReader:
    """Reads the training sessions of the caller, each time in one statement."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def find(
        self, principal: Principal, filters: SessionFilters, cursor: str | None, limit: int
    ) -> CursorPage[TrainingSession]:
        """A part of the history, newest first.

        Raises:
            RuleBroken: the cursor is not one of this list.
        """
        conditions: list[str] = ["s.user_id = $1"]
        values: list[object] = [principal.user_id]
        for name, condition in _FILTERS.items():
            if wanted := getattr(filters, name):
                values.append(",".join(map(str, wanted)) if isinstance(wanted, tuple) else wanted)
                conditions.append(condition.format(len(values)))
        if cursor:
            values += _position(cursor, filters)
            conditions.append(f"(s.start_time, s.id) < (${len(values) - 1}, ${len(values)})")
        values.append(limit + 1)
        statement = _LIST_SESSIONS.format(
            columns=SESSION_COLUMNS, conditions=" AND ".join(conditions), limit=f"${len(values)}"
        )
        rows = await self._reader.fetch(statement, *values)
        items = [session_of(row).document for row in rows[:limit]]
        behind = _cursor(items[-1], filters) if len(rows) > limit else None
        return CursorPage(items=items, next_cursor=behind, limit=limit)

    async def read(self, session_id: UUID, principal: Principal) -> Versioned[TrainingSession]:
        """One session with its exercises and sets.

        Raises:
            NotFound: the caller has no such session.
        """
        row = await self._reader.fetchrow(READ_SESSION, session_id, principal.user_id)
        if row is None:
            raise NotFound
        return session_of(row)


def _cursor(last: TrainingSession, filters: SessionFilters) -> str:
    return encode_cursor((last.start_time.isoformat(), str(last.id)), filters)


def _position(cursor: str, filters: SessionFilters) -> tuple[datetime, UUID]:
    moment, session_id = decode_cursor(cursor, filters, 2)
    try:
        start = datetime.fromisoformat(str(moment))
        return start.astimezone(UTC), UUID(str(session_id))
    except (ValueError, OverflowError):
        raise RuleBroken.of("cursor", "This is not a cursor of this list.", "pattern") from None
