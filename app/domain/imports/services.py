"""Files that somebody sends, archives that are to be imported, and how far that has come."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.paging import Page, PageRequest
from app.db.reader import Reader
from app.db.timezones import canonical_timezone
from app.db.transaction import Transactions, raw_connection
from app.domain.imports.archive import ArchiveActivity, ArchiveIndex, Member
from app.domain.imports.dto import FileOutcome, FilesOutcome, ImportedRun, ImportFailure, Outcome, RunImport
from app.domain.imports.models import ImportStatus
from app.domain.imports.process import Original
from app.domain.imports.reading import ReadRun
from app.domain.imports.storing import NewRun, started_at, store_runs
from app.domain.imports.uploads import Upload
from app.domain.imports.workshop import Workshop
from app.domain.running.models import RunSource
from app.domain.running.services import hold_runner
from app.errors import Conflict, NotFound, RuleBroken
from app.security.principal import Principal

__all__ = ("ImportReader", "ImportService", "KeptFile", "RunFileService", "media_type_of")

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_MAX_ERRORS: Final = 100
_BATCH_BYTES: Final = 4_000_000
_BATCH_FILES: Final = 200

_MEDIA_TYPES: Final = {
    "gpx": "application/gpx+xml",
    "tcx": "application/vnd.garmin.tcx+xml",
    "fit": "application/vnd.ant.fit",
}
_GZIP: Final = "application/gzip"

_KEEP_ORIGINAL: Final = """
INSERT INTO run_original (run_id, name, media_type, is_wrapped, content) VALUES ($1, $2, $3, $4, $5)
"""

_ORIGINAL: Final = """
SELECT o.name, o.media_type, o.is_wrapped, o.content
FROM run_original o JOIN runs r ON r.id = o.run_id
WHERE r.id = $1 AND r.user_id = $2
"""

_COLUMNS: Final = f"""
r.id, r.name, r.status, r.total, r.stored + r.duplicates + r.skipped + r.failed AS done, r.stored, r.duplicates,
r.skipped, r.failed, r.created_at, r.finished_at, coalesce((
    SELECT json_agg(json_build_object('name', e.name, 'reason', e.reason) ORDER BY e.place)
    FROM (SELECT i.name, i.reason, i.place FROM run_import_item i
        WHERE i.import_id = r.id AND i.reason IS NOT NULL ORDER BY i.place LIMIT {_MAX_ERRORS}) AS e
), '[]'::json)::text AS errors
"""

_IS_TOLD: Final = "status <> 'receiving'"

_READ: Final = f"SELECT {_COLUMNS} FROM run_import r WHERE r.id = $1 AND r.user_id = $2 AND r.{_IS_TOLD}"

_FIND: Final = f"""
SELECT counted.total AS count, r.*
FROM (SELECT count(*) AS total FROM run_import WHERE user_id = $1 AND {_IS_TOLD}) AS counted
LEFT JOIN LATERAL (
    SELECT {_COLUMNS} FROM run_import r WHERE r.user_id = $1 AND r.{_IS_TOLD} ORDER BY r.id DESC LIMIT $2 OFFSET $3
) AS r ON true
"""

_IS_RUNNING: Final = text("""
    SELECT EXISTS (SELECT FROM run_import WHERE user_id = :user_id AND status = 'running')
""")

_RECEIVE: Final = text("""
    INSERT INTO run_import (id, user_id, name, user_timezone, total, skipped, failed, status)
    VALUES (:id, :user_id, :name, :timezone, :total, :skipped, :failed, 'receiving')
""")
_BEGIN: Final = text("""
    UPDATE run_import
    SET status = CASE WHEN skipped + failed = total THEN 'completed' ELSE 'running' END,
        finished_at = CASE WHEN skipped + failed = total THEN now() END
    WHERE id = :id AND status = 'receiving'
""")
_TAKE_BACK: Final = text("DELETE FROM run_import WHERE id = :id AND status = 'receiving'")

_STATUS: Final = text(f"SELECT status FROM run_import WHERE id = :id AND user_id = :user_id AND {_IS_TOLD} FOR UPDATE")
_CANCEL: Final = text("UPDATE run_import SET status = 'cancelled', finished_at = now() WHERE id = :id")
_DROP_WAITING: Final = text("DELETE FROM run_import_item WHERE import_id = :id AND reason IS NULL")
_DELETE: Final = text("DELETE FROM run_import WHERE id = :id")

_ITEM_COLUMNS: Final = ("import_id", "place", "name", "activity", "reason", "is_wrapped", "content")

_failures = msgspec.json.Decoder(list[ImportFailure])


class KeptFile(Struct, frozen=True):
    """The file that a run was read from; see `RunOriginal`."""

    name: str
    media_type: str
    is_wrapped: bool
    content: bytes


class _ReadFile(NamedTuple):
    """A file that was sent, and what was read from it."""

    name: str
    original: Original


def media_type_of(format_: str | None, *, is_wrapped: bool) -> str:
    """The media type of a file as it is handed out."""
    return _MEDIA_TYPES.get(format_ or "", "application/octet-stream") if is_wrapped else _GZIP


class RunFileService:
    """Makes runs of files that were sent."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def read(self, upload: Upload) -> list[_ReadFile]:
        """Read the files, each by itself."""
        return [_ReadFile(file.name, await self._workshop.read_upload(file.path)) for file in upload.files]

    async def store(
        self, session: AsyncSession, principal: Principal, files: Sequence[_ReadFile], timezone: str | None
    ) -> FilesOutcome:
        """Store the runs of files that were read.

        Args:
            timezone: where they were run; the user's own when absent.

        Raises:
            RuleBroken: there is no such time zone.
        """
        zone = await canonical_timezone(session, timezone, "timezone") if timezone else principal.timezone
        readings = [(number, run) for number, file in enumerate(files) for run in file.original.reading.runs]
        new = [(number, _new_run(files[number], run, zone)) for number, run in readings if run.figures]
        stored = iter(await store_runs(session, principal.user_id, [run for _, run in new]) if new else ())
        outcomes = [(number, next(stored) if run.figures else _not_stored(run)) for number, run in readings]
        kept = [
            (outcome.run_id, *_kept(files[number])) for number, outcome in outcomes if outcome.status is Outcome.STORED
        ]
        if kept:
            connection = await raw_connection(session)
            await connection.executemany(_KEEP_ORIGINAL, kept)
        return _summed_up(
            [
                _file_outcome(file, [outcome for place, outcome in outcomes if place == number])
                for number, file in enumerate(files)
            ]
        )


def _new_run(file: _ReadFile, run: ReadRun, timezone: str) -> NewRun:
    if run.figures is None:
        raise ValueError("There is no run.")
    source = RunSource(file.original.reading.format or "")
    begun = started_at(run.figures).strftime("%Y-%m-%dT%H:%M:%SZ")
    return NewRun(run.figures, source, begun, timezone)


def _not_stored(run: ReadRun) -> ImportedRun:
    return ImportedRun(status=Outcome.SKIPPED if run.is_other_sport else Outcome.REFUSED, reason=run.reason)


def _kept(file: _ReadFile) -> tuple[str, str, bool, bytes]:
    original = file.original
    media_type = media_type_of(original.reading.format, is_wrapped=original.is_wrapped)
    return file.name, media_type, original.is_wrapped, original.content


def _file_outcome(file: _ReadFile, activities: list[ImportedRun]) -> FileOutcome:
    reading = file.original.reading
    best = next((run for run in activities if run.status is Outcome.STORED), activities[0] if activities else None)
    return FileOutcome(
        name=file.name,
        format=reading.format,
        status=best.status if best else Outcome.REFUSED,
        reason=best.reason if best else reading.reason,
        run_id=best.run_id if best else None,
        activities=activities,
    )


def _summed_up(files: list[FileOutcome]) -> FilesOutcome:
    statuses = [status for file in files for status in ([run.status for run in file.activities] or [file.status])]
    return FilesOutcome(
        stored=statuses.count(Outcome.STORED),
        duplicates=statuses.count(Outcome.DUPLICATE),
        skipped=statuses.count(Outcome.SKIPPED),
        refused=statuses.count(Outcome.REFUSED),
        files=files,
    )


class ImportService:
    """Begins and ends imports of archives."""

    def __init__(self, workshop: Workshop, transactions: Transactions) -> None:
        self._workshop = workshop
        self._transactions = transactions

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[UUID]:
        """The key of an import that is received in the block. Unless it has begun, nothing of it is left after it."""
        import_id = uuid7()
        try:
            yield import_id
        finally:
            async with self._transactions.begin() as session:
                await session.execute(_TAKE_BACK, {"id": import_id})

    async def receive(self, import_id: UUID, principal: Principal, upload: Upload, timezone: str | None) -> None:
        """Store what is to be imported, so that any worker on any machine can go on with it.

        That takes a while, and nobody's changes are told to others while a transaction is open: so in many short ones.

        Args:
            timezone: where the runs were run; the user's own when absent.

        Raises:
            Conflict: another import of the user is running.
            RuleBroken: it is not one archive, or none that can be imported; or there is no such time zone.
        """
        index = await self._open(upload)
        async with self._transactions.begin() as session:
            await _refuse_second(session, principal)
            zone = await canonical_timezone(session, timezone, "timezone") if timezone else principal.timezone
            received = {
                "id": import_id,
                "user_id": principal.user_id,
                "name": upload.files[0].name,
                "timezone": zone,
                "total": len(index.activities) + index.skipped,
                "skipped": index.skipped,
                "failed": sum(activity.reason is not None for activity in index.activities),
            }
            await session.execute(_RECEIVE, received)
        for batch in _batches(index.activities):
            rows = await self._rows(import_id, upload.files[0].path, batch)
            async with self._transactions.begin() as session:
                connection = await raw_connection(session)
                await connection.copy_records_to_table("run_import_item", records=rows, columns=_ITEM_COLUMNS)

    async def begin(self, session: AsyncSession, import_id: UUID, principal: Principal) -> RunImport:
        """Let the workers go on with what was received.

        Raises:
            Conflict: another import of the user is running.
            NotFound: it was never received.
        """
        await hold_runner(session, principal.user_id)
        await _refuse_second(session, principal)
        await session.execute(_BEGIN, {"id": import_id})
        connection = await raw_connection(session)
        row = await connection.fetchrow(_READ, import_id, principal.user_id)
        if row is None:
            raise NotFound
        return _import_of(row)

    async def cancel(self, session: AsyncSession, import_id: UUID, principal: Principal) -> None:
        """End an import that is running; what was stored stays. One that has ended leaves the list.

        Raises:
            NotFound: the user has no such import.
        """
        await hold_runner(session, principal.user_id)
        wanted = {"id": import_id}
        status = await session.scalar(_STATUS, {**wanted, "user_id": principal.user_id})
        if status is None:
            raise NotFound
        if status == ImportStatus.RUNNING:
            await session.execute(_CANCEL, wanted)
            await session.execute(_DROP_WAITING, wanted)
        else:
            await session.execute(_DELETE, wanted)

    async def _open(self, upload: Upload) -> ArchiveIndex:
        if len(upload.files) != 1:
            raise RuleBroken.of("files", "One archive is imported at a time.", "length")
        index = await self._workshop.open_archive(upload.files[0].path)
        if index.reason:
            raise RuleBroken.of("files", index.reason)
        return index

    async def _rows(
        self, import_id: UUID, path: str, batch: Sequence[tuple[int, ArchiveActivity]]
    ) -> list[tuple[object, ...]]:
        names = [activity.member for _, activity in batch if activity.member]
        members = iter(await self._workshop.read_members(path, names) if names else ())
        return [
            (import_id, place, activity.name, *_item(activity, next(members) if activity.member else Member()))
            for place, activity in batch
        ]


async def _refuse_second(session: AsyncSession, principal: Principal) -> None:
    if await session.scalar(_IS_RUNNING, {"user_id": principal.user_id}):
        raise Conflict("Another import is running; wait for its end, or cancel it.")


def _item(activity: ArchiveActivity, member: Member) -> tuple[str, str | None, bool, bytes | None]:
    if member.reason:
        # The row is already counted as one to come, so it is told when its turn comes.
        return msgspec.json.encode(replace(activity, reason=member.reason)).decode(), None, False, None
    encoded = msgspec.json.encode(activity).decode()
    return encoded, activity.reason, member.is_wrapped, member.content or None


def _batches(activities: Sequence[ArchiveActivity]) -> Iterator[list[tuple[int, ArchiveActivity]]]:
    """Activities with their places, few enough to be held in memory with their files."""
    batch: list[tuple[int, ArchiveActivity]] = []
    size = 0
    for place, activity in enumerate(activities):
        if batch and (size + activity.size > _BATCH_BYTES or len(batch) == _BATCH_FILES):
            yield batch
            batch, size = [], 0
        batch.append((place, activity))
        size += activity.size
    if batch:
        yield batch


class ImportReader:
    """Reads imports, and the files that runs were read from."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def read(self, import_id: UUID, principal: Principal) -> RunImport:
        """One of the user's imports.

        Raises:
            NotFound: the user has no such import.
        """
        row = await self._reader.fetchrow(_READ, import_id, principal.user_id)
        if row is None:
            raise NotFound
        return _import_of(row)

    async def find(self, principal: Principal, page: PageRequest) -> Page[RunImport]:
        """The user's imports, newest first."""
        rows = await self._reader.fetch(_FIND, principal.user_id, page.page_size, page.offset)
        found = [_import_of(row) for row in rows if row["id"]]
        return Page(found, rows[0]["count"], page.page_size, page.offset)

    async def original(self, run_id: UUID, principal: Principal) -> KeptFile:
        """The file that a run was read from.

        Raises:
            NotFound: the user has no such run, or it was not read from a file.
        """
        row = await self._reader.fetchrow(_ORIGINAL, run_id, principal.user_id)
        if row is None:
            raise NotFound
        return KeptFile(**row)


def _import_of(row: Record) -> RunImport:
    finished: object = row["finished_at"]
    return RunImport(
        id=row["id"],
        name=row["name"],
        status=row["status"],
        total=row["total"],
        done=row["done"],
        stored=row["stored"],
        duplicates=row["duplicates"],
        skipped=row["skipped"],
        failed=row["failed"],
        errors=_failures.decode(row["errors"]),
        created_at=row["created_at"].astimezone(UTC),
        finished_at=None if finished is None else row["finished_at"].astimezone(UTC),
    )
