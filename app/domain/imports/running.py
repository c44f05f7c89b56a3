"""What goes on with imports in the background of every worker.

A worker takes a lease of some runs, reads their files without holding a transaction, and stores in one what came of
them and that they are done. A worker that dies, however it dies, renews its lease no more, and another one takes
over; whoever has lost a lease stores nothing. So each is stored once, and a run that is in two archives too, since runs
know where they came from.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID, uuid4

import msgspec
import structlog
from asyncpg import Connection, Record
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import Base
from app.db.errors import translate
from app.db.reader import Reader
from app.db.transaction import Transactions, raw_connection
from app.domain.imports.archive import ArchiveActivity
from app.domain.imports.dto import ImportedRun, Outcome
from app.domain.imports.services import media_type_of
from app.domain.imports.storing import NewRun, store_runs
from app.domain.imports.workshop import Workshop
from app.domain.running.models import RunSource
from app.domain.running.services import hold_runner
from app.errors import Unavailable

__all__ = ("ImportRunner",)

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_LEASE: Final = 3.5
"""How many looks a lease lasts: so a worker that is late does not lose it, and one that is dead is soon replaced."""
_BATCH: Final = 16
_BATCH_BYTES: Final = 4_000_000
_ATTEMPTS: Final = 10
_GIVEN_UP: Final = "It could not be stored."

_WAITING: Final = "i.reason IS NULL AND (i.leased_until IS NULL OR i.leased_until < now())"

_IS_THERE: Final = f"""
SELECT EXISTS (
    SELECT FROM run_import r JOIN run_import_item i ON i.import_id = r.id WHERE r.status = 'running' AND {_WAITING})
"""

# Of several imports any one, so that a large one does not keep the others waiting; of it as much as fits in memory.
_TAKE: Final = f"""
WITH chosen AS MATERIALIZED (
    SELECT r.id, r.user_id, r.user_timezone FROM run_import r
    WHERE r.status = 'running' AND EXISTS (SELECT FROM run_import_item i WHERE i.import_id = r.id AND {_WAITING})
    ORDER BY random() LIMIT 1
), waiting AS MATERIALIZED (
    SELECT i.import_id, i.place, coalesce(octet_length(i.content), 0) AS size
    FROM run_import_item i JOIN chosen ON i.import_id = chosen.id
    WHERE {_WAITING} ORDER BY i.place LIMIT {_BATCH} FOR UPDATE OF i SKIP LOCKED
), fitting AS (
    SELECT import_id, place, sum(size) OVER (ORDER BY place) - size AS before FROM waiting
)
UPDATE run_import_item i
SET lease = $1, leased_until = now() + $2::float8 * interval '1 second', attempts = i.attempts + 1
FROM fitting JOIN chosen ON chosen.id = fitting.import_id
WHERE i.import_id = fitting.import_id AND i.place = fitting.place AND fitting.before < {_BATCH_BYTES}
RETURNING i.import_id, i.place, i.name, i.activity::text AS activity, i.content, i.is_wrapped, i.attempts,
    chosen.user_id, chosen.user_timezone
"""

_MINE: Final = "import_id = $1 AND lease = $2"
_RENEW: Final = text("""
    UPDATE run_import_item SET leased_until = now() + CAST(:seconds AS float8) * interval '1 second'
    WHERE import_id = :import_id AND lease = :lease
""")
_HOLD: Final = f"SELECT place FROM run_import_item WHERE {_MINE} FOR UPDATE"

# The file goes from the one table to the other without passing through the worker again.
_KEEP: Final = f"""
INSERT INTO run_original (run_id, name, media_type, is_wrapped, content)
SELECT done.run_id, done.name, done.media_type, i.is_wrapped, i.content
FROM json_to_recordset($3::text::json) AS done (place integer, run_id uuid, name text, media_type text)
JOIN run_import_item i ON i.place = done.place
WHERE i.{_MINE} AND i.content IS NOT NULL
"""

_FINISH: Final = f"""
WITH done AS (
    SELECT * FROM json_to_recordset($3::text::json) AS done (place integer, status text, reason text)
), dropped AS (
    DELETE FROM run_import_item i USING done
    WHERE i.{_MINE} AND i.place = done.place AND done.status <> 'refused'
), failed AS (
    UPDATE run_import_item i SET reason = done.reason, content = NULL, lease = NULL, leased_until = NULL FROM done
    WHERE i.{_MINE} AND i.place = done.place AND done.status = 'refused'
), counted AS (
    SELECT count(*) FILTER (WHERE status = 'stored') AS stored, count(*) FILTER (WHERE status = 'duplicate') AS known,
        count(*) FILTER (WHERE status = 'skipped') AS skipped, count(*) FILTER (WHERE status = 'refused') AS failed,
        count(*) AS all_done
    FROM done
)
UPDATE run_import r
SET stored = r.stored + counted.stored, duplicates = r.duplicates + counted.known,
    skipped = r.skipped + counted.skipped, failed = r.failed + counted.failed,
    status = CASE WHEN {{is_last}} THEN 'completed' ELSE r.status END,
    finished_at = CASE WHEN {{is_last}} THEN now() ELSE r.finished_at END
FROM counted WHERE r.id = $1 AND r.status = 'running'
""".format(is_last="r.stored + r.duplicates + r.skipped + r.failed + counted.all_done >= r.total")

_activities = msgspec.json.Decoder(ArchiveActivity)
_log = structlog.get_logger("irontrack.imports")


class _Batch(Struct, frozen=True):
    """Runs of one import that this worker is at."""

    lease: UUID
    import_id: UUID
    user_id: UUID
    timezone: str


class _Read(Struct, frozen=True):
    """A run of an archive, and what was read of it: something to store, or why there is nothing."""

    place: int
    name: str
    media_type: str
    new: NewRun | None = None
    nothing: ImportedRun | None = None


class ImportRunner:
    """Goes on with whatever imports there are."""

    def __init__(self, transactions: Transactions, reader: Reader, workshop: Workshop, look_every: float) -> None:
        """
        Args:
            look_every: seconds between two looks for work, when nothing else tells of it.
        """
        self._transactions = transactions
        self._reader = reader
        self._workshop = workshop
        self._look_every = look_every
        self._lease = _LEASE * look_every
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There is a new import: look at once."""
        self._news.set()

    async def run(self) -> None:
        """Go on, for as long as the worker lives."""
        while True:
            try:
                has_worked = await self.work()
            except Exception:  # noqa: BLE001 (whatever it is, the lease ends and somebody tries again)
                _log.warning("a part of an import failed; it is tried again", exc_info=True)
                has_worked = False
            if not has_worked:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), self._look_every)
                self._news.clear()

    async def work(self) -> bool:
        """Take some runs and store them.

        Returns:
            whether there were any.
        """
        there = await self._reader.fetchrow(_IS_THERE)
        if there is None or not there[0]:
            return False
        lease = uuid4()
        async with self._transactions.begin() as session:
            connection = await raw_connection(session)
            rows = sorted(await connection.fetch(_TAKE, lease, self._lease), key=lambda row: row["place"])
        if not rows:
            return False
        batch = _Batch(lease, rows[0]["import_id"], rows[0]["user_id"], rows[0]["user_timezone"])
        async with self._renewed(batch):
            read = [await self._read(row, batch.timezone) for row in rows]
            await self._store_all(batch, read)
        return True

    @asynccontextmanager
    async def _renewed(self, batch: _Batch) -> AsyncIterator[None]:
        """Renew the lease while the block runs."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._look_every)
                async with self._transactions.begin() as session:
                    held = {"import_id": batch.import_id, "lease": batch.lease, "seconds": self._lease}
                    await session.execute(_RENEW, held)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            # Whatever stopped it: without the lease nothing is stored.
            await asyncio.gather(renewing, return_exceptions=True)

    async def _read(self, row: Record, timezone: str) -> _Read:
        activity = _activities.decode(row["activity"])
        if row["attempts"] > _ATTEMPTS:
            return _without(row, _GIVEN_UP)
        if activity.reason:
            return _without(row, activity.reason)
        if activity.figures:
            run = NewRun(activity.figures, RunSource.STRAVA, activity.external_id, timezone, activity.notes)
            return _Read(row["place"], row["name"], "", run)
        reading = await self._workshop.read_content(row["content"] or b"")
        found = next((run for run in reading.runs if run.figures), None)
        if found is None or found.figures is None:
            reasons = [reading.reason, *(run.reason for run in reading.runs)]
            return _without(row, next((reason for reason in reasons if reason), _GIVEN_UP))
        run = NewRun(found.figures, RunSource.STRAVA, activity.external_id, timezone, activity.notes)
        name = row["name"].rpartition("/")[2] or row["name"]
        return _Read(row["place"], name, media_type_of(reading.format, is_wrapped=row["is_wrapped"]), run)

    async def _store_all(self, batch: _Batch, read: Sequence[_Read]) -> None:
        """Store together, or, where one of them can't be, each by itself."""
        try:
            await self._store(batch, read)
        except Exception as error:
            refusal = translate(error, Base.metadata)
            if refusal is None or isinstance(refusal, Unavailable):
                raise
            if len(read) == 1:
                await self._store(batch, [_refused(read[0], refusal.message)])
                return
            for each in read:
                await self._store_all(batch, [each])

    async def _store(self, batch: _Batch, read: Sequence[_Read]) -> None:
        async with self._transactions.begin() as session:
            await hold_runner(session, batch.user_id)
            connection = await raw_connection(session)
            held = {row["place"] for row in await connection.fetch(_HOLD, batch.import_id, batch.lease)}
            mine = [each for each in read if each.place in held]
            if mine:
                outcomes = await self._outcomes(session, batch, mine)
                await self._finish(connection, batch, list(zip(mine, outcomes, strict=True)))

    async def _outcomes(self, session: AsyncSession, batch: _Batch, read: Sequence[_Read]) -> list[ImportedRun]:
        new = [each.new for each in read if each.new]
        stored = iter(await store_runs(session, batch.user_id, new) if new else ())
        return [next(stored) if each.new else each.nothing or _refusal(_GIVEN_UP) for each in read]

    async def _finish(
        self, connection: "Connection", batch: _Batch, outcomes: Sequence[tuple[_Read, ImportedRun]]
    ) -> None:
        kept = [
            {
                "place": read.place,
                "run_id": outcome.run_id,
                "name": read.name,
                "media_type": read.media_type,
            }
            for read, outcome in outcomes
            if outcome.status is Outcome.STORED
        ]
        if kept:
            await connection.execute(_KEEP, batch.import_id, batch.lease, msgspec.json.encode(kept).decode())
        done = [{"place": read.place, "status": outcome.status, "reason": outcome.reason} for read, outcome in outcomes]
        await connection.execute(_FINISH, batch.import_id, batch.lease, msgspec.json.encode(done).decode())


def _without(row: Record, reason: str) -> _Read:
    return _Read(row["place"], row["name"], "", nothing=_refusal(reason))


def _refused(read: _Read, reason: str) -> _Read:
    return _Read(read.place, read.name, read.media_type, nothing=_refusal(reason))


def _refusal(reason: str) -> ImportedRun:
    return ImportedRun(status=Outcome.REFUSED, reason=reason)
