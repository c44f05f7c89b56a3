"""What of the caller's own has changed since they asked last: one statement, one state of the database."""

from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from typing import Annotated, Any, Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec import Meta

from app.db.changes import SETTLED
from app.db.paging import decode_cursor, encode_cursor, version_tag
from app.db.reader import Reader
from app.domain.catalogue.services import EXERCISE_DOCUMENT, ExerciseReader
from app.domain.history.documents import LONGEST_PART, SESSION_COLUMNS, session_of
from app.domain.running.documents import RUN_JSON, RUN_TABLES, run_of
from app.domain.sync.dto import (
    Change,
    ChangedExercise,
    ChangedPlan,
    ChangedRun,
    ChangedSession,
    ChangedUnit,
    ChangeKind,
    Changes,
)
from app.domain.training.documents import PLAN_DOCUMENTS, UNIT_DOCUMENTS
from app.domain.training.dto import TrainingPlan, TrainingUnit
from app.errors import Gone, RuleBroken
from app.http.answers import etag
from app.security.principal import Principal

__all__ = ("ChangeReader",)

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

D = TypeVar("D", TrainingUnit, TrainingPlan)

_KNOWS_DELETIONS_FOR: Final = timedelta(days=364)
"""How old a cursor may be: traces of what was deleted are kept for a year."""

_USELESS: Final = "This cursor is of no use any more; begin again without one, and drop what does not come again."

_CHANGES: Final[Mapping[ChangeKind, type[Change]]] = {
    ChangeKind.EXERCISE: ChangedExercise,
    ChangeKind.TRAINING_UNIT: ChangedUnit,
    ChangeKind.TRAINING_PLAN: ChangedPlan,
    ChangeKind.TRAINING_SESSION: ChangedSession,
    ChangeKind.RUN: ChangedRun,
}

_OWNERS: Final[Mapping[ChangeKind, tuple[str, str]]] = {
    ChangeKind.EXERCISE: ("exercises", "created_by"),
    ChangeKind.TRAINING_UNIT: ("training_units", "created_by"),
    ChangeKind.TRAINING_PLAN: ("training_plans", "created_by"),
    ChangeKind.TRAINING_SESSION: ("training_sessions", "user_id"),
    ChangeKind.RUN: ("runs", "user_id"),
}
"""The table of each kind, and the column of its owner."""

_SOME: Final = """
(SELECT {kind}, t.id, t.changed_xid, {version}, {deleted_at}
FROM {table} t
WHERE t.{owner} = $1 AND (t.changed_xid, t.id, {kind}) > ($2::bigint, $3::uuid, $4::text) AND t.changed_xid < {settled}
ORDER BY t.changed_xid, t.id, {kind} LIMIT $5::integer + 1)
"""

_CHANGED: Final = " UNION ALL ".join(
    [
        *(
            _SOME.format(
                kind=f"'{kind}'::text",
                table=table,
                owner=owner,
                version="t.version",
                deleted_at="NULL::timestamptz",
                settled=SETTLED,
            )
            for kind, (table, owner) in _OWNERS.items()
        ),
        _SOME.format(
            kind="t.kind",
            table="tombstone",
            owner="user_id",
            version="NULL::bigint",
            deleted_at="t.deleted_at",
            settled=SETTLED,
        ),
    ]
)

# Where transactions are numbered anew, as in a restored copy, no cursor of before means anything.
_ERA: Final = """
SELECT concat_ws(' ', (pg_control_system()).system_identifier, (pg_control_checkpoint()).timeline_id,
    'tombstone'::regclass::oid)
"""

_OWN: Final = "CROSS JOIN (VALUES ('owner')) a (access)"

# Each row is of the same state of the database as its number: what is shown is what that transaction has left.
_FIND: Final = f"""
WITH found (kind, id, xid, version, deleted_at) AS MATERIALIZED (
    {_CHANGED}
    ORDER BY 3, 2, 1 LIMIT $5::integer + 1
), page AS (
    SELECT *, count(*) OVER () AS found FROM found ORDER BY xid, id, kind LIMIT $5::integer
), told AS MATERIALIZED (
    SELECT page.kind AS change_kind, page.id AS change_id, page.xid, page.found, page.version AS change_version,
        page.deleted_at,
        CASE WHEN page.deleted_at IS NULL THEN CASE page.kind
            WHEN '{ChangeKind.EXERCISE}' THEN (SELECT {EXERCISE_DOCUMENT} FROM exercises e WHERE e.id = page.id)
            WHEN '{ChangeKind.TRAINING_UNIT}'
                THEN (SELECT {UNIT_DOCUMENTS.json} FROM training_units t {_OWN} WHERE t.id = page.id)
            WHEN '{ChangeKind.TRAINING_PLAN}'
                THEN (SELECT {PLAN_DOCUMENTS.json} FROM training_plans t {_OWN} WHERE t.id = page.id)
            WHEN '{ChangeKind.RUN}' THEN (SELECT ({RUN_JSON})::text FROM {RUN_TABLES} WHERE r.id = page.id)
        END END AS document,
        session.*
    FROM page
    LEFT JOIN LATERAL (
        SELECT {SESSION_COLUMNS} FROM training_sessions s
        WHERE s.id = CASE WHEN page.kind = '{ChangeKind.TRAINING_SESSION}' AND page.deleted_at IS NULL THEN page.id END
    ) AS session ON true
), measured AS (
    SELECT coalesce(sum(octet_length(coalesce(told.document, told.exercises, ''))) OVER (
        ORDER BY told.xid, told.change_id, told.change_kind ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0
    ) AS before, told.*
    FROM told
)
SELECT now() AS asked_at, ({_ERA}) AS era, measured.*
FROM (SELECT) AS asked
LEFT JOIN measured ON measured.before < {LONGEST_PART}
ORDER BY measured.xid, measured.change_id, measured.change_kind
"""

_COLUMNS_OF_CHANGES: Final = 10
"""How many columns come before those of a session."""


class _Position(NamedTuple):
    """Where a client has come to.

    Attributes:
        era: in which numbering of transactions.
        asked_at: Unix seconds of when it had everything, or began to ask for it.
        xid: with id and kind, the change that it had last.
    """

    era: str
    asked_at: Annotated[int, Meta(ge=0, le=2**40)]
    xid: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    id: UUID
    kind: Annotated[str, Meta(pattern="^[a-z_]*$")]


_BEGINNING: Final = _Position("", 0, 0, UUID(int=0), "")


class ChangeReader:
    """Reads what has changed.

    Changes come in the order of the numbers of their transactions, and only those of numbers that are settled: no
    transaction of a lower one may still write. So whatever is committed later has its place behind every cursor that
    was given before.
    """

    def __init__(self, reader: Reader, exercises: ExerciseReader) -> None:
        self._reader = reader
        self._decoders: Mapping[ChangeKind, Callable[[str], Any]] = {
            ChangeKind.EXERCISE: exercises.document_of,
            ChangeKind.TRAINING_UNIT: lambda text: _in_utc(UNIT_DOCUMENTS.one.decode(text)),
            ChangeKind.TRAINING_PLAN: lambda text: _in_utc(PLAN_DOCUMENTS.one.decode(text)),
            ChangeKind.RUN: run_of,
        }

    async def find(self, principal: Principal, since: str | None, limit: int) -> Changes:
        """A part of the caller's changes.

        Raises:
            RuleBroken: the cursor is not one of these.
            Gone: it is too old, or the database is not the one that gave it.
        """
        position = _read(since, principal) if since else None
        behind = position or _BEGINNING
        rows = await self._reader.fetch(_FIND, principal.user_id, behind.xid, behind.id, behind.kind, limit)
        now = _Position(rows[0]["era"], int(rows[0]["asked_at"].timestamp()), *behind[2:])
        if position:
            _check_useful(position, now)
        found = [row for row in rows if row["change_id"]]
        has_more = bool(found) and found[0]["found"] > len(found)
        if found:
            last = found[-1]
            now = now._replace(xid=last["xid"], id=last["change_id"], kind=last["change_kind"])
        if has_more and position:
            now = now._replace(asked_at=position.asked_at)
        return Changes(
            items=[self._change(row) for row in found],
            next_cursor=encode_cursor((*now[:3], str(now.id), now.kind), principal.user_id),
            has_more=has_more,
            limit=limit,
        )

    def _change(self, row: Record) -> Change:
        kind = ChangeKind(row["change_kind"])
        if row["deleted_at"] is not None:
            return _CHANGES[kind](id=row["change_id"], etag=None, deleted_at=row["deleted_at"], document=None)
        state = etag(version_tag(row["change_version"]))
        return _CHANGES[kind](id=row["change_id"], etag=state, deleted_at=None, document=self._document(kind, row))

    def _document(self, kind: ChangeKind, row: Record) -> Any:
        if kind is ChangeKind.TRAINING_SESSION:
            return session_of(dict(list(row.items())[_COLUMNS_OF_CHANGES:])).document
        return self._decoders[kind](row["document"])


def _read(since: str, principal: Principal) -> _Position:
    """The position of a cursor; it belongs to one user."""
    try:
        return msgspec.convert(decode_cursor(since, principal.user_id, len(_BEGINNING), "since"), _Position)
    except msgspec.ValidationError:
        raise RuleBroken.of("since", "This is not a cursor of this list.", "pattern") from None


def _check_useful(position: _Position, now: _Position) -> None:
    age = timedelta(seconds=now.asked_at - position.asked_at)
    if position.era != now.era or age > _KNOWS_DELETIONS_FOR:
        raise Gone(_USELESS)


def _in_utc(document: D) -> D:
    """A decoded document as it goes out: in UTC, whatever the database's session says."""
    document.created_at = document.created_at.astimezone(UTC)
    document.updated_at = document.updated_at.astimezone(UTC)
    return document
