"""Whole sessions, as clients that work offline send them: once or ten times, with the same outcome."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from asyncpg import Connection, Record
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.paging import Precondition, Versioned
from app.db.timezones import canonical_timezone
from app.db.transaction import raw_connection
from app.domain.history.documents import SESSION_COLUMNS, KeptSession, read_session, session_of
from app.domain.history.dto import TrainingSession, WholeSession
from app.domain.history.matching import Known, Reference, match
from app.domain.history.models import ExerciseMode
from app.domain.history.rules import check_source, check_start, duration_of
from app.domain.system.models import TombstoneKind
from app.domain.training.access import PLANS, UNITS, access_of
from app.errors import Gone, NotFound, RuleBroken
from app.security.principal import Principal

__all__ = ("WholeSessionService",)

LinkT = TypeVar("LinkT", UUID, int)
NameT = TypeVar("NameT", str, int)

# ruff: noqa: S608 (statements are put together from constants alone; values are parameters)

# Locks the row that is there, and changes nothing of it: RETURNING tells only of a new one.
_CREATE_OR_LOCK: Final = text("""
INSERT INTO training_sessions (id, user_id, user_timezone, start_time)
VALUES (:id, :user_id, :user_timezone, coalesce(CAST(:start_time AS timestamptz), now()))
ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id WHERE false
RETURNING id
""")

# A statement of its own: one that has waited for a lock still sees what was there before.
_FIND: Final = f"""
SELECT {SESSION_COLUMNS}, now(),
    EXISTS (SELECT FROM tombstone WHERE user_id = $2 AND kind = $4 AND id = $1) AS was_deleted,
    coalesce((
        SELECT json_agg(json_build_array(x.id, x.name, x.default_mode, x.is_active))
        FROM exercises x
        WHERE x.id = ANY (string_to_array($5, ',')::uuid[])
            AND (x.is_system_default OR x.created_by = $2 OR EXISTS (
                SELECT FROM training_session_exercises e WHERE e.training_session_id = $1 AND e.exercise_id = x.id))
    ), '[]'::json)::text AS referred,
    to_json(plan)::text AS readable_plan, to_json(unit)::text AS readable_unit, to_json(day)::text AS readable_day
FROM training_sessions s
LEFT JOIN LATERAL (
    SELECT p.id, p.name FROM training_plans p WHERE p.id = $6 AND {access_of(PLANS, "p", "$2", "$3")} IS NOT NULL
) plan ON true
LEFT JOIN LATERAL (
    SELECT u.id, u.name, coalesce(
        (SELECT json_agg(e.id) FROM training_unit_exercises e WHERE e.training_unit_id = u.id), '[]'::json) AS planned
    FROM training_units u WHERE u.id = $7 AND {access_of(UNITS, "u", "$2", "$3")} IS NOT NULL
) unit ON true
LEFT JOIN training_plan_units day ON day.id = $8 AND day.training_plan_id = plan.id
WHERE s.id = $1 AND s.user_id = $2
"""

# Template links are stored only while what they lead to is there. One that stays is not looked at again: its template's
# deletion may be waiting for this session.
_REPLACE: Final = """
UPDATE training_sessions SET
    status = $2, start_time = $3, end_time = $4, duration_seconds = $5, user_timezone = $6, notes = $7,
    perceived_effort = $8, source = $9, external_id = $10, client_revision = $11,
    plan_name_snapshot = $12, unit_name_snapshot = $13, day_number_snapshot = $14,
    training_plan_id = CASE WHEN training_plan_id = $15 THEN $15
        ELSE (SELECT id FROM training_plans WHERE id = $15 FOR KEY SHARE) END,
    training_unit_id = CASE WHEN training_unit_id = $16 THEN $16
        ELSE (SELECT id FROM training_units WHERE id = $16 FOR KEY SHARE) END,
    plan_unit_id = CASE WHEN plan_unit_id = $17 THEN $17
        ELSE (SELECT id FROM training_plan_units WHERE id = $17 FOR KEY SHARE) END
WHERE id = $1 AND (
    status, start_time, end_time, duration_seconds, user_timezone, notes, perceived_effort, source, external_id,
    client_revision, plan_name_snapshot, unit_name_snapshot, day_number_snapshot, training_plan_id, training_unit_id,
    plan_unit_id
) IS DISTINCT FROM (
    $2, $3, $4, $5, $6, $7, $8::numeric(3,1), $9, $10, $11::bigint, $12, $13, $14::smallint, $15::uuid, $16::uuid,
    $17::integer)
"""

_EXERCISE_VALUES: Final = {
    "exercise_id": ("exercise_id", "uuid"),
    "exercise_name_snapshot": ("name", "text"),
    "mode_snapshot": ("mode", "text"),
    "superset_group": ("superset_group", "smallint"),
    "order_index_snapshot": ("order_index_snapshot", "smallint"),
    "target_weight_snapshot": ("target_weight_snapshot", "numeric"),
    "sets_snapshot": ("sets_snapshot", "smallint"),
    "reps_min_snapshot": ("reps_min_snapshot", "smallint"),
    "reps_max_snapshot": ("reps_max_snapshot", "smallint"),
    "target_time_seconds_snapshot": ("target_time_seconds_snapshot", "smallint"),
    "target_distance_km_snapshot": ("target_distance_km_snapshot", "numeric"),
    "rest_seconds_snapshot": ("rest_seconds_snapshot", "smallint"),
}
"""The columns of an exercise, by what is sent for each, and its type."""

_SET_VALUES: Final = {
    "weight": "numeric",
    "reps_completed": "smallint",
    "time_seconds": "smallint",
    "distance_km": "numeric",
    "set_type": "text",
    "rpe": "numeric",
    "rest_seconds": "smallint",
    "completed_at": "timestamptz",
    "note": "text",
}


def _listed(names: Iterable[str], prefix: str = "") -> str:
    return ", ".join(prefix + name for name in names)


def _assigned(columns: Iterable[str], names: Iterable[str]) -> str:
    return ", ".join(f"{column} = sent.{name}" for column, name in zip(columns, names, strict=True))


_EXERCISE_NAMES: Final = [name for name, _ in _EXERCISE_VALUES.values()]
_EXERCISE_TYPES: Final = ", ".join(f"{name} {kind}" for name, kind in _EXERCISE_VALUES.values())
_SET_TYPES: Final = ", ".join(f"{name} {kind}" for name, kind in _SET_VALUES.items())

# In one statement, so that sets and the mode of their exercise change together: their key is looked at when it ends.
# Rows that move or are new stand at negative places until _TURN; those that are as they were are not written.
_WRITE: Final = f"""
WITH sent AS (
    SELECT * FROM json_to_recordset($2::text::json)
        AS (place smallint, id bigint, planned_id integer, {_EXERCISE_TYPES})),
sent_sets AS (
    SELECT * FROM json_to_recordset($3::text::json) AS (parent smallint, place smallint, id bigint, {_SET_TYPES})),
gone AS (
    DELETE FROM training_session_exercises e
    WHERE e.training_session_id = $1 AND NOT EXISTS (SELECT FROM sent WHERE sent.id = e.id)),
gone_sets AS (
    DELETE FROM training_session_sets t USING training_session_exercises e
    WHERE e.id = t.session_exercise_id AND e.training_session_id = $1
        AND NOT EXISTS (SELECT FROM sent_sets WHERE sent_sets.id = t.id)),
kept AS (
    UPDATE training_session_exercises e SET
        order_index = CASE WHEN e.order_index = sent.place THEN e.order_index ELSE -sent.place END,
        planned_unit_exercise_id = CASE WHEN e.planned_unit_exercise_id = sent.planned_id THEN sent.planned_id
            ELSE (SELECT id FROM training_unit_exercises WHERE id = sent.planned_id FOR KEY SHARE) END,
        {_assigned(_EXERCISE_VALUES, _EXERCISE_NAMES)}
    FROM sent WHERE e.id = sent.id AND e.training_session_id = $1
        AND (e.order_index, e.planned_unit_exercise_id, {_listed(_EXERCISE_VALUES, "e.")})
            IS DISTINCT FROM (sent.place, sent.planned_id, {_listed(_EXERCISE_NAMES, "sent.")})),
added AS (
    INSERT INTO training_session_exercises
        (training_session_id, order_index, planned_unit_exercise_id, {_listed(_EXERCISE_VALUES)})
    SELECT $1, -sent.place, (SELECT id FROM training_unit_exercises WHERE id = sent.planned_id FOR KEY SHARE),
        {_listed(_EXERCISE_NAMES, "sent.")}
    FROM sent WHERE sent.id IS NULL
    ORDER BY sent.place
    RETURNING id, mode_snapshot AS mode, -order_index AS place),
kept_sets AS (
    UPDATE training_session_sets t SET
        order_index = CASE WHEN t.order_index = sent.place THEN t.order_index ELSE -sent.place END,
        {_assigned(_SET_VALUES, _SET_VALUES)}
    FROM sent_sets sent WHERE t.id = sent.id
        AND (t.order_index, {_listed(_SET_VALUES, "t.")})
            IS DISTINCT FROM (sent.place, {_listed(_SET_VALUES, "sent.")}))
INSERT INTO training_session_sets (session_exercise_id, mode, order_index, {_listed(_SET_VALUES)})
SELECT parent.id, parent.mode, -sent.place, {_listed(_SET_VALUES, "sent.")}
FROM sent_sets sent
JOIN (SELECT id, mode, place FROM sent WHERE id IS NOT NULL UNION ALL SELECT id, mode, place FROM added) parent
    ON parent.place = sent.parent
WHERE sent.id IS NULL
ORDER BY sent.parent, sent.place
"""

_TURN: Final = """
WITH turned AS (
    UPDATE training_session_exercises SET order_index = -order_index
    WHERE training_session_id = $1 AND order_index < 0)
UPDATE training_session_sets t SET order_index = -t.order_index
FROM training_session_exercises e
WHERE e.id = t.session_exercise_id AND e.training_session_id = $1 AND t.order_index < 0
"""


class _Readable(Struct, Generic[LinkT, NameT]):
    """A template, or a day of one, that the caller may read, and what it is called."""

    id: LinkT
    name: NameT


class _Plan(_Readable[UUID, str]):
    pass


class _Unit(_Readable[UUID, str]):
    planned: list[int]


class _Day(_Readable[int, int]):
    name: int = msgspec.field(name="day_number")


class _Found(Struct, frozen=True):
    """What a whole session is written onto: the locked session, and what may be referred to."""

    stored: Versioned[TrainingSession]
    now: datetime
    references: dict[UUID, Reference]
    plan: _Plan | None
    unit: _Unit | None
    day: _Day | None


_referred = msgspec.json.Decoder(list[tuple[UUID, str, ExerciseMode, bool]])


class WholeSessionService:
    """Makes or replaces sessions of the caller as whole documents."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put(
        self, session_id: UUID, data: WholeSession, principal: Principal, precondition: Precondition
    ) -> KeptSession:
        """Make a session or replace it, in at most eight statements. What is as it was is not written.

        A lower revision of the client than the stored one changes nothing.

        Raises:
            Gone: a session of this id was deleted.
            NotFound: the id is somebody else's, or an exercise is unknown.
            PreconditionFailed: it was changed in the meantime, or is there or not against what was expected.
            RuleBroken: of the fields that don't fit each other, or an id of another session.
        """
        if session_id.version != 7:
            raise RuleBroken.of("id", "Expected a UUID of version 7.", "pattern")
        check_source(data.source, data.external_id)
        zone = None
        if data.user_timezone:
            zone = await canonical_timezone(self._session, data.user_timezone, "userTimezone")
        is_new = await self._create_or_lock(session_id, data, principal, zone)
        connection = await raw_connection(self._session)
        found = await _find(connection, session_id, data, principal)
        if is_new:
            precondition.check_new()
        else:
            precondition.check(found.stored.version)
        if _is_outdated(data, found):
            return KeptSession(found.stored, is_new=False)
        rows = match(data.exercises, _known(data, found))
        await connection.execute(_REPLACE, session_id, *_values(data, found, zone))
        await connection.execute(_WRITE, session_id, _as_json(rows.exercises), _as_json(rows.sets))
        await connection.execute(_TURN, session_id)
        return KeptSession(await read_session(connection, session_id, principal.user_id), is_new)

    async def _create_or_lock(
        self, session_id: UUID, data: WholeSession, principal: Principal, zone: str | None
    ) -> bool:
        """Whether the session is new. Somebody else's is locked too; it is not found in the next step."""
        values = {
            "id": session_id,
            "user_id": principal.user_id,
            "user_timezone": zone or principal.timezone,
            "start_time": data.start_time,
        }
        return (await self._session.execute(_CREATE_OR_LOCK, values)).one_or_none() is not None


async def _find(connection: "Connection", session_id: UUID, data: WholeSession, principal: Principal) -> _Found:
    row = await connection.fetchrow(
        _FIND,
        session_id,
        principal.user_id,
        principal.is_superuser,
        TombstoneKind.TRAINING_SESSION,
        ",".join({str(exercise.exercise_id) for exercise in data.exercises if exercise.exercise_id}),
        data.training_plan_id or None,
        data.training_unit_id or None,
        data.plan_unit_id or None,
    )
    if row is None:
        raise NotFound
    if row["was_deleted"]:
        raise Gone
    return _found(row)


def _found(row: Record) -> _Found:
    fields = dict(row)
    now, referred = fields.pop("now"), _referred.decode(fields.pop("referred"))
    del fields["was_deleted"]
    plan, unit, day = (fields.pop(f"readable_{name}") for name in ("plan", "unit", "day"))
    stored = session_of(fields)
    there = {exercise.exercise_id for exercise in stored.document.exercises}
    return _Found(
        stored,
        now,
        {key: Reference(name, mode, is_active or key in there) for key, name, mode, is_active in referred},
        plan and msgspec.json.decode(plan, type=_Plan),
        unit and msgspec.json.decode(unit, type=_Unit),
        day and msgspec.json.decode(day, type=_Day),
    )


def _is_outdated(data: WholeSession, found: _Found) -> bool:
    stored = found.stored.document.client_revision
    return stored is not None and data.client_revision is not None and data.client_revision < stored


def _known(data: WholeSession, found: _Found) -> Known:
    """What the exercises are read against.

    Raises:
        NotFound: an exercise is unknown, or somebody else's.
    """
    unknown = {item.exercise_id for item in data.exercises if item.exercise_id} - found.references.keys()
    if unknown:
        raise NotFound(f"There are no such exercises: {', '.join(sorted(map(str, unknown)))}.")
    exercises = found.stored.document.exercises
    linked = {item.planned_unit_exercise_id for item in exercises if item.planned_unit_exercise_id}
    return Known(exercises, found.references, frozenset(linked.union(found.unit.planned if found.unit else ())))


def _values(data: WholeSession, found: _Found, zone: str | None) -> tuple[Any, ...]:
    """The session's own values, as _REPLACE takes them.

    Raises:
        RuleBroken: the start lies too far ahead, or the times don't fit the status.
    """
    stored = found.stored.document
    start = data.start_time or stored.start_time
    if data.start_time:
        check_start(data.start_time, found.now)
    plan, plan_name = _linked(
        data.training_plan_id, data.plan_name, stored.training_plan_id, stored.plan_name, found.plan
    )
    unit, unit_name = _linked(
        data.training_unit_id, data.unit_name, stored.training_unit_id, stored.unit_name, found.unit
    )
    day, day_number = _linked(data.plan_unit_id, data.day_number, stored.plan_unit_id, stored.day_number, found.day)
    return (
        data.status,
        start,
        data.end_time,
        duration_of(data.status, start, data.end_time),
        zone or stored.user_timezone,
        data.notes,
        data.perceived_effort,
        data.source,
        data.external_id,
        stored.client_revision if data.client_revision is None else data.client_revision,
        plan_name,
        unit_name,
        day_number,
        plan,
        unit,
        day,
    )


def _linked(
    sent: LinkT | UnsetType | None,
    sent_name: NameT | UnsetType | None,
    stored: LinkT | None,
    stored_name: NameT | None,
    readable: _Readable[LinkT, NameT] | None,
) -> tuple[LinkT | None, NameT | None]:
    """A link to a template and what that is called.

    What is sent, if it is the stored link or leads to what the caller may read. A new link brings its name unless
    another is sent; where there is none any more the name stays.
    """
    link, name = stored, stored_name
    if sent is not UNSET and sent != stored:
        link, name = (readable.id, readable.name) if readable else (None, stored_name)
    return link, name if sent_name is UNSET else sent_name


def _as_json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows, enc_hook=str).decode()
