"""The history of the caller, as it is read."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from app.db.paging import CursorPage, Versioned, decode_cursor, encode_cursor
from app.db.reader import Reader
from app.domain.history.documents import (
    LONGEST_PART,
    READ_SESSION,
    SESSION_COLUMNS,
    SET_JSON,
    json_instant,
    session_of,
)
from app.domain.history.dto import PreviousExercise, SessionFilters, TrainingSession
from app.errors import NotFound, RuleBroken
from app.security.principal import Principal

__all__ = ("SINCE_DATE", "UNTIL_DATE", "SessionReader")

# What has no end is shortened: a session may have 10,000 sets, each with a long note.
_LIST_SESSIONS = f"""
WITH part AS MATERIALIZED (
    SELECT {{columns}}
    FROM (
        SELECT * FROM training_sessions s WHERE {{conditions}} ORDER BY s.start_time DESC, s.id DESC LIMIT {{limit}}
    ) s
), measured AS (
    SELECT count(*) OVER () AS found, coalesce(sum(octet_length(part.exercises)) OVER (
        ORDER BY part.start_time DESC, part.id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before,
        part.*
    FROM part
)
SELECT * FROM measured WHERE before < {LONGEST_PART} ORDER BY start_time DESC, id DESC
"""  # noqa: S608 (every text here is a constant; values are parameters)

_COLUMNS_OF_PARTS = 2
"""How many columns come before those of a session."""

# The instants of a local date lie within a day of the same date in UTC; they let the index skip the other years.
SINCE_DATE = "s.local_date >= ${0} AND s.start_time > (${0}::date - 1)::timestamp AT TIME ZONE 'UTC'"
UNTIL_DATE = "s.local_date <= ${0} AND s.start_time < (${0}::date + 2)::timestamp AT TIME ZONE 'UTC'"

# Lists go as texts: on each new connection, asyncpg asks the catalogue about array types before their first use.
_FILTERS = {
    "since": SINCE_DATE,
    "until": UNTIL_DATE,
    "status": "s.status = ANY (string_to_array(${0}, ','))",
    "training_plan_id": "s.training_plan_id = ANY (string_to_array(${0}, ',')::uuid[])",
    "training_unit_id": "s.training_unit_id = ANY (string_to_array(${0}, ',')::uuid[])",
    "exercise_id": "EXISTS (SELECT FROM training_session_exercises e "
    "WHERE e.training_session_id = s.id AND e.user_id = s.user_id "
    "AND e.exercise_id = ANY (string_to_array(${0}, ',')::uuid[]))",
}


_RECENT = 50

# The last time is mostly one of the last sessions, and those are looked through for each exercise. What is not found
# there is rare, and all that was done of it is looked at: OFFSET 0 keeps PostgreSQL from walking all sessions instead.
_PREVIOUS = f"""
WITH this AS MATERIALIZED (
    SELECT s.id AS session_id, s.start_time, e.id, e.exercise_id, e.exercise_name_snapshot AS name, e.order_index,
        coalesce(e.exercise_id::text, lower(e.exercise_name_snapshot)) AS key
    FROM (SELECT * FROM training_sessions WHERE id = $1 OFFSET 0) s
    LEFT JOIN training_session_exercises e ON e.training_session_id = s.id
    WHERE s.user_id = $2),
recent AS MATERIALIZED (
    SELECT s.id, s.start_time FROM training_sessions s
    WHERE s.user_id = $2 AND (s.start_time, s.id) < (SELECT start_time, session_id FROM this LIMIT 1)
    ORDER BY s.start_time DESC, s.id DESC LIMIT {_RECENT})
SELECT coalesce(json_agg(json_build_object(
        'id', this.id, 'exerciseId', this.exercise_id, 'exerciseName', this.name, 'previous', last.found
    ) ORDER BY this.order_index) FILTER (WHERE this.id IS NOT NULL), '[]'::json)::text
FROM this
LEFT JOIN LATERAL (
    SELECT recent.id FROM recent WHERE EXISTS (
        SELECT FROM training_session_exercises x JOIN training_session_sets t ON t.session_exercise_id = x.id
        WHERE x.training_session_id = recent.id
            AND coalesce(x.exercise_id::text, lower(x.exercise_name_snapshot)) = this.key)
    ORDER BY recent.start_time DESC, recent.id DESC LIMIT 1
) soon ON this.id IS NOT NULL
LEFT JOIN LATERAL (
    SELECT s.id
    FROM (
        SELECT x.id, x.training_session_id FROM training_session_exercises x
        WHERE soon.id IS NULL AND x.exercise_id = this.exercise_id AND x.user_id = $2
        UNION ALL
        SELECT x.id, x.training_session_id FROM training_session_exercises x
        WHERE soon.id IS NULL AND this.exercise_id IS NULL AND x.exercise_id IS NULL AND x.user_id = $2
            AND lower(x.exercise_name_snapshot) = lower(this.name)
        OFFSET 0
    ) x JOIN training_sessions s ON s.id = x.training_session_id
    WHERE (s.start_time, s.id) < (this.start_time, this.session_id)
        AND EXISTS (SELECT FROM training_session_sets t WHERE t.session_exercise_id = x.id)
    ORDER BY s.start_time DESC, s.id DESC LIMIT 1
) older ON true
LEFT JOIN LATERAL (
    SELECT json_build_object(
        'sessionId', s.id, 'startTime', {json_instant("s.start_time")}, 'localDate', s.local_date, 'sets', (
            SELECT json_agg({SET_JSON} ORDER BY x.order_index, t.order_index)
            FROM training_session_exercises x JOIN training_session_sets t ON t.session_exercise_id = x.id
            WHERE x.training_session_id = s.id
                AND coalesce(x.exercise_id::text, lower(x.exercise_name_snapshot)) = this.key)) AS found
    FROM training_sessions s
    WHERE s.id = coalesce(soon.id, older.id)
) last ON true
GROUP BY this.session_id
"""  # noqa: S608 (every text here is a constant; values are parameters)

_previous = msgspec.json.Decoder(list[PreviousExercise])


class SessionReader:
    """Reads the training sessions of the caller, each time in one statement."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def find(
        self, principal: Principal, filters: SessionFilters, cursor: str | None, limit: int
    ) -> CursorPage[TrainingSession]:
        """A part of the history, newest first; a shorter one where sessions are long.

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
        items = [session_of(dict(list(row.items())[_COLUMNS_OF_PARTS:])).document for row in rows[:limit]]
        behind = _cursor(items[-1], filters) if rows and rows[0]["found"] > len(items) else None
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

    async def previous(self, session_id: UUID, principal: Principal) -> list[PreviousExercise]:
        """For each exercise of a session, the sets of the last session before it in which the caller did some.

        Raises:
            NotFound: the caller has no such session.
        """
        row = await self._reader.fetchrow(_PREVIOUS, session_id, principal.user_id)
        if row is None:
            raise NotFound
        return _previous.decode(row[0])


def _cursor(last: TrainingSession, filters: SessionFilters) -> str:
    return encode_cursor((last.start_time.isoformat(), str(last.id)), filters)


def _position(cursor: str, filters: SessionFilters) -> tuple[datetime, UUID]:
    moment, session_id = decode_cursor(cursor, filters, 2)
    try:
        start = datetime.fromisoformat(str(moment))
        return start.astimezone(UTC), UUID(str(session_id))
    except (ValueError, OverflowError):
        raise RuleBroken.of("cursor", "This is not a cursor of this list.", "pattern") from None
