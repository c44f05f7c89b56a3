"""Reference lists and exercises.

Reads are one statement each, straight on the driver: a nested document comes as JSON that PostgreSQL has put together.
Writers of one exercise lock its row first. Its version is kept by triggers, whichever of its rows was written.
"""

import re
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from asyncpg import Connection
from msgspec import UNSET, Struct
from sqlalchemy import RowMapping, TextClause, delete, insert, or_, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.paging import Page, PageRequest, Precondition, Versioned
from app.db.transaction import announce, raw_connection
from app.domain.catalogue import models
from app.domain.catalogue.dto import (
    MAX_ENTRY_ID,
    CustomExerciseChange,
    Entry,
    EntryChange,
    EntrySort,
    Exercise,
    ExerciseFilters,
    ExerciseSummary,
    NewCustomExercise,
    NewEntry,
    NewSystemExercise,
    SystemExerciseChange,
    check_muscles,
)
from app.domain.catalogue.links import LINKS, Link, ReferenceList, joined
from app.domain.catalogue.memory import CATALOGUE_CHANGED, CatalogueMemory
from app.domain.catalogue.merge import take_turns
from app.domain.catalogue.names import fold, slugify
from app.domain.catalogue.search import Parameters, hits
from app.errors import BrokenField, Conflict, Forbidden, Malformed, NotFound, RuleBroken
from app.security.principal import Principal

__all__ = (
    "EXERCISE_DOCUMENT",
    "ExerciseReader",
    "ExerciseService",
    "ReferenceReader",
    "ReferenceService",
    "RememberingReader",
)

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_TRAINER: Final = "fitness-trainer"
_NO_ACCESS: Final = "none"
_IMAGE_PATH: Final = re.compile(r"(?:/[a-z0-9_-]+){2,}\.(?:jpg|jpeg|png|webp)")
_LONGEST_IMAGE_PATH: Final = 512
_EXERCISE: Final = msgspec.json.Decoder(Exercise)
_EXERCISES: Final = msgspec.json.Decoder(list[Exercise])
_SUMMARIES: Final = msgspec.json.Decoder(list[ExerciseSummary])

T = TypeVar("T", bound=Hashable)

Connect = Callable[[], AbstractAsyncContextManager[Connection]]
"""Lends a connection for one statement."""


class _ListRows(NamedTuple):
    """A reference list in both of its orders."""

    by_id: dict[int, Entry]
    by_name: list[Entry]


def _folded_name(entry: Entry) -> str:
    return fold(entry.name)


class ReferenceReader:
    """The rows of one reference list, from memory."""

    def __init__(self, connect: Connect, entries: ReferenceList, memory: CatalogueMemory) -> None:
        self._connect = connect
        self._entries = entries
        self._memory = memory

    async def browse(self, search: str, order_by: EntrySort, *, descending: bool) -> list[Entry]:
        """All rows whose names contain a text, in any case."""
        rows = await self._rows()
        found = rows.by_id.values() if order_by is EntrySort.ID else rows.by_name
        if wanted := " ".join(search.lower().split()):
            found = [entry for entry in found if wanted in entry.name]
        return list(reversed(found) if descending else found)

    async def read(self, entry_id: int) -> Entry:
        """One row.

        Raises:
            NotFound: there is none with this id.
        """
        try:
            return (await self._rows()).by_id[entry_id]
        except KeyError:
            raise NotFound from None

    async def _rows(self) -> _ListRows:
        known: _ListRows | None = self._memory.recall(self._entries)
        if known is not None:
            return known
        moment = self._memory.moment
        async with self._connect() as connection:
            rows = await connection.fetch(f"SELECT id, name FROM {self._entries.table} ORDER BY id")
        entries = [Entry(*row) for row in rows]
        loaded = _ListRows({entry.id: entry for entry in entries}, sorted(entries, key=_folded_name))
        self._memory.remember(self._entries, loaded, moment)
        return loaded


class ReferenceService:
    """Adds, renames and deletes rows of one reference list, in a session's transaction."""

    def __init__(self, session: AsyncSession, entries: ReferenceList) -> None:
        self._session = session
        self._entries = entries
        self._links = [link for link in LINKS.values() if link.entries == entries]
        uses = " UNION ".join(f"SELECT exercise_id FROM {link.table} WHERE {link.column} = :id" for link in self._links)
        self._lock_uses = text(f"SELECT FROM exercises WHERE id IN ({uses}) ORDER BY id FOR NO KEY UPDATE")

    async def add(self, data: NewEntry) -> Entry:
        """Add a row."""
        name = data.name
        added = text(f"INSERT INTO {self._entries.table} (name) VALUES (:name) RETURNING id")
        announce(self._session, CATALOGUE_CHANGED)
        return Entry((await self._session.execute(added, {"name": name})).scalar_one(), name)

    async def change(self, entry_id: int, change: EntryChange) -> Entry:
        """Rename a row. Exercises that refer to it are new versions then, since they show the name.

        Raises:
            NotFound: there is none with this id.
        """
        # The exercises that show the name first, as whoever changes one of them does; and one renaming after another.
        await take_turns(self._session)
        await self._session.execute(self._lock_uses, {"id": _bounded(entry_id)})
        entry = await self._lock(entry_id)
        name = entry.name if change.name is UNSET else change.name
        if name != entry.name:
            values = {"id": entry.id, "name": name}
            await self._session.execute(text(f"UPDATE {self._entries.table} SET name = :name WHERE id = :id"), values)
            announce(self._session, CATALOGUE_CHANGED)
        return Entry(entry.id, name)

    async def remove(self, entry_id: int) -> None:
        """Delete a row.

        Raises:
            NotFound: there is none with this id.
            Conflict: an exercise refers to it.
        """
        entry = await self._lock(entry_id)
        used = " OR ".join(f"EXISTS (SELECT FROM {link.table} WHERE {link.column} = :id)" for link in self._links)
        if await self._session.scalar(text(f"SELECT {used}"), {"id": entry.id}):
            raise Conflict(f"There are exercises with this {self._entries.noun}.")
        await self._session.execute(text(f"DELETE FROM {self._entries.table} WHERE id = :id"), {"id": entry.id})
        announce(self._session, CATALOGUE_CHANGED)

    async def _lock(self, entry_id: int) -> Entry:
        locked = text(f"SELECT id, name FROM {self._entries.table} WHERE id = :id FOR UPDATE")
        row = (await self._session.execute(locked, {"id": _bounded(entry_id)})).one_or_none()
        if row is None:
            raise NotFound
        return Entry(row.id, row.name)


def _bounded(entry_id: int) -> int:
    if not 1 <= entry_id <= MAX_ENTRY_ID:
        raise NotFound
    return entry_id


def _entries_json(link: Link) -> str:
    return (
        "ARRAY(SELECT json_build_object('id', r.id, 'name', r.name) "
        f"FROM {link.table} l JOIN {link.entries.table} r ON r.id = l.{link.column} "
        "WHERE l.exercise_id = e.id ORDER BY r.id)"
    )


_SUMMARY: Final = f"""
json_build_object(
    'id', e.id, 'name', e.name, 'slug', e.slug,
    'force', e.force, 'difficultyLevel', e.difficulty_level, 'mechanic', e.mechanic, 'category', e.category,
    'defaultMode', e.default_mode, 'imagePathStart', e.image_path_start,
    {", ".join(f"'{link.wire}', {_entries_json(link)}" for link in LINKS.values())},
    'isActive', e.is_active, 'createdBy', e.created_by)::text
"""

EXERCISE_DOCUMENT: Final = f"""
json_build_object(
    'id', e.id, 'name', e.name, 'slug', e.slug,
    'aliases', ARRAY(SELECT a.alias FROM exercise_aliases a WHERE a.exercise_id = e.id ORDER BY a.id),
    'force', e.force, 'difficultyLevel', e.difficulty_level, 'mechanic', e.mechanic, 'category', e.category,
    'defaultMode', e.default_mode, 'instructions', e.instructions,
    'imagePathStart', e.image_path_start, 'imagePathEnd', e.image_path_end,
    {", ".join(f"'{link.wire}', {_entries_json(link)}" for link in LINKS.values())},
    'isActive', e.is_active, 'createdBy', e.created_by, 'createdAt', e.created_at, 'updatedAt', e.updated_at)::text
"""

_READ: Final = f"SELECT e.version, {EXERCISE_DOCUMENT} AS document FROM exercises e WHERE "

_READ_BY_ID: Final = _READ + "e.id = $1"

_READ_BY_NAME: Final = _READ + "e.created_by = $1 AND lower(e.name) = lower($2) AND e.name = $2 AND e.is_active"

_READ_BY_SLUG: Final = _READ + "e.is_system_default AND e.slug = $1 AND e.is_active"

_LIST: Final = """
WITH hits AS (
    {hits}
), page AS (
    SELECT id, row_number() OVER (ORDER BY key {direction}, id) AS position FROM hits
    ORDER BY position LIMIT {limit} OFFSET {offset}
)
SELECT (SELECT count(*) FROM hits) AS total,
    '[' || coalesce(string_agg({document}, ',' ORDER BY page.position), '') || ']' AS items
FROM page JOIN exercises e ON e.id = page.id
"""


def _id_list(name: str) -> str:
    """A parameter that holds ids, joined by commas: asyncpg asks about array types on each new connection."""
    return f"CAST(string_to_array(:{name}, ',') AS smallint[])"


_UNKNOWN: Final = " UNION ALL ".join(
    f"SELECT '{link.wire}' AS field, wanted.id FROM unnest({_id_list(name)}) AS wanted (id) "
    f"WHERE NOT EXISTS (SELECT FROM {link.entries.table} r WHERE r.id = wanted.id)"
    for name, link in LINKS.items()
)

_LOCK: Final = text("SELECT version, created_by, is_active, name FROM exercises WHERE id = :id FOR UPDATE")

# Lets others still refer to it.
_HOLD: Final = text("SELECT version, created_by, is_active, name FROM exercises WHERE id = :id FOR NO KEY UPDATE")

_IS_USED: Final = text("""
    SELECT EXISTS (SELECT FROM training_unit_exercises WHERE exercise_id = :id)
        OR EXISTS (SELECT FROM training_session_exercises WHERE exercise_id = :id)
""")

_REFERRING_TABLES: Final = ("training_unit_exercises", "training_session_exercises")

_DROP_ALIASES: Final = text("DELETE FROM exercise_aliases WHERE exercise_id = :id")

_ADD_ALIASES: Final = text("""
    INSERT INTO exercise_aliases (exercise_id, alias)
    SELECT CAST(:id AS uuid), alias
    FROM json_array_elements_text(CAST(CAST(:aliases AS text) AS json)) WITH ORDINALITY AS wanted (alias, position)
    ORDER BY position
""")


class _Stored(NamedTuple):
    """An exercise and its row's version."""

    document: Exercise
    version: int


class ExerciseReader:
    """Exercises: those of the system, the caller's own, and for trainers and superusers everybody's.

    Args:
        cdn_url: prefix of pictures in answers.
    """

    def __init__(self, connect: Connect, cdn_url: str) -> None:
        self._connect = connect
        self._cdn_url = cdn_url.rstrip("/")

    async def read(self, exercise_id: UUID, principal: Principal) -> Versioned[Exercise]:
        """One exercise, archived or not.

        Raises:
            NotFound: there is none with this id.
            Forbidden: it is somebody else's.
        """
        return _seen_by(principal, await self._by_id(exercise_id))

    async def find(self, name: str | None, slug: str | None, principal: Principal) -> Versioned[Exercise]:
        """The caller's exercise of exactly this name, or the system's of this slug; archived ones are not found.

        Raises:
            Malformed: both or neither are given.
            NotFound: there is none.
        """
        match name, slug:
            case None, str():
                return _seen_by(principal, await self._by_slug(slug))
            case str(), None:
                wanted = " ".join(unicodedata.normalize("NFC", name).split())
                return _seen_by(principal, await self._load(_READ_BY_NAME, principal.user_id, wanted))
            case _:
                raise Malformed("Give either name or slug.")

    async def browse(self, filters: ExerciseFilters, page: PageRequest, principal: Principal) -> Page[ExerciseSummary]:
        """One page of the system's and the caller's own exercises, with what a list shows of them."""
        total, items = await self._page(_SUMMARY, filters, page, principal)
        exercises = _SUMMARIES.decode(items)
        for exercise in exercises:
            exercise.image_path_start = self._picture(exercise.image_path_start)
        return Page(exercises, total, page.page_size, page.offset)

    async def browse_whole(self, filters: ExerciseFilters, page: PageRequest, principal: Principal) -> Page[Exercise]:
        """The same page, with everything that there is to say."""
        total, items = await self._page(EXERCISE_DOCUMENT, filters, page, principal)
        exercises = [self._shown(exercise) for exercise in _EXERCISES.decode(items)]
        return Page(exercises, total, page.page_size, page.offset)

    async def _page(
        self, document: str, filters: ExerciseFilters, page: PageRequest, principal: Principal
    ) -> tuple[int, str]:
        parameters = Parameters()
        found = hits(filters, principal.user_id, parameters)
        statement = _LIST.format(
            document=document,
            hits=found.statement,
            direction="DESC" if found.descending else "ASC",
            limit=parameters.add(page.page_size),
            offset=parameters.add(page.offset),
        )
        async with self._connect() as connection:
            [(total, items)] = await connection.fetch(statement, *parameters)
        return total, items

    async def _by_id(self, exercise_id: UUID) -> _Stored | None:
        return await self._load(_READ_BY_ID, exercise_id)

    async def _by_slug(self, slug: str) -> _Stored | None:
        return await self._load(_READ_BY_SLUG, slug)

    async def _load(self, statement: str, *arguments: object) -> _Stored | None:
        async with self._connect() as connection:
            row = await connection.fetchrow(statement, *arguments)
        if row is None:
            return None
        return _Stored(self.document_of(row["document"]), row["version"])

    def document_of(self, text: str) -> Exercise:
        """What EXERCISE_DOCUMENT has read, as it goes out."""
        return self._shown(_EXERCISE.decode(text))

    def _shown(self, exercise: Exercise) -> Exercise:
        """A decoded document as it goes out: with the CDN's prefix, and in UTC whatever the session's time zone."""
        exercise.image_path_start = self._picture(exercise.image_path_start)
        exercise.image_path_end = self._picture(exercise.image_path_end)
        exercise.created_at = exercise.created_at.astimezone(UTC)
        exercise.updated_at = exercise.updated_at.astimezone(UTC)
        return exercise

    def _picture(self, path: str | None) -> str | None:
        return path and self._cdn_url + path


def _seen_by(principal: Principal, stored: _Stored | None) -> Versioned[Exercise]:
    if stored is None:
        raise NotFound
    access = _access(stored.document.created_by, principal)
    if access == _NO_ACCESS:
        raise Forbidden("This is another user's exercise.")
    return Versioned(stored.document, stored.version, access)


class RememberingReader(ExerciseReader):
    """The same, but details of the system's exercises come from memory."""

    def __init__(self, connect: Connect, cdn_url: str, memory: CatalogueMemory) -> None:
        super().__init__(connect, cdn_url)
        self._memory = memory

    async def _by_id(self, exercise_id: UUID) -> _Stored | None:
        return await self._remembered(exercise_id, super()._by_id)

    async def _by_slug(self, slug: str) -> _Stored | None:
        return await self._remembered(slug, super()._by_slug)

    async def _remembered(self, key: T, load: Callable[[T], Awaitable[_Stored | None]]) -> _Stored | None:
        known: _Stored | None = self._memory.recall(key)
        if known is not None:
            return known
        moment = self._memory.moment
        loaded = await load(key)
        if loaded is not None and loaded.document.created_by is None:
            self._memory.remember(key, loaded, moment)
        return loaded


class ExerciseService(ExerciseReader):
    """Makes, changes and ends exercises, in a session's transaction."""

    def __init__(self, session: AsyncSession, cdn_url: str) -> None:
        super().__init__(partial(_lend, session), cdn_url)
        self._session = session

    async def create_custom(self, data: NewCustomExercise, principal: Principal) -> Versioned[Exercise]:
        """Add an exercise of the caller's own.

        Raises:
            NotFound: muscles or equipment with these ids do not exist; all are named.
        """
        return await self._create(_given(data), principal, created_by=principal.user_id, is_system_default=False)

    async def create_system(self, data: NewSystemExercise, principal: Principal) -> Versioned[Exercise]:
        """Add an exercise for everybody.

        Raises:
            NotFound: muscles, equipment or tags with these ids do not exist; all are named.
            RuleBroken: the name gives no slug, or a picture's path is not one.
        """
        announce(self._session, CATALOGUE_CHANGED)
        return await self._create(_given(data), principal, slug=slugify(data.name), is_system_default=True)

    async def change_custom(
        self, exercise_id: UUID, change: CustomExerciseChange, precondition: Precondition, principal: Principal
    ) -> Versioned[Exercise]:
        """Change an exercise of the caller's own.

        Raises:
            NotFound: it is not the caller's, or refers to what does not exist.
        """
        locked = await self._lock(exercise_id)
        if locked["created_by"] != principal.user_id:
            raise NotFound
        return await self._change(exercise_id, _given(change), precondition, principal)

    async def change_system(
        self, exercise_id: UUID, change: SystemExerciseChange, precondition: Precondition, principal: Principal
    ) -> Versioned[Exercise]:
        """Change an exercise of the system; its slug follows its name.

        Raises:
            NotFound: it is none of the system, or refers to what does not exist.
        """
        locked = await self._lock(exercise_id)
        if locked["created_by"] is not None:
            raise NotFound
        announce(self._session, CATALOGUE_CHANGED)
        return await self._change(exercise_id, _given(change), precondition, principal)

    async def delete(self, exercise_id: UUID, precondition: Precondition, principal: Principal) -> None:
        """Delete an exercise, or archive it when a template or a session uses it.

        Raises:
            NotFound: there is none with this id.
            Forbidden: it is not the caller's to delete.
        """
        await self._lock_own(exercise_id, precondition, principal)
        if await self._session.scalar(_IS_USED, {"id": exercise_id}):
            await self._update(exercise_id, {"is_active": False})
        else:
            await self._session.execute(delete(models.Exercise).where(models.Exercise.id == exercise_id))

    async def archive(self, exercise_id: UUID, precondition: Precondition, principal: Principal) -> Versioned[Exercise]:
        """Take an exercise out of lists and search; nothing happens when it is archived already.

        Raises:
            NotFound: there is none with this id.
            Forbidden: it is not the caller's.
        """
        await self._lock_own(exercise_id, precondition, principal)
        await self._update(exercise_id, {"is_active": False})
        return await self.read(exercise_id, principal)

    async def restore(self, exercise_id: UUID, precondition: Precondition, principal: Principal) -> Versioned[Exercise]:
        """Bring an archived exercise back; nothing happens when it is not archived.

        Raises:
            NotFound: there is none with this id.
            Forbidden: it is not the caller's.
            Conflict: another one has taken the name meanwhile.
        """
        await self._lock_own(exercise_id, precondition, principal)
        await self._update(exercise_id, {"is_active": True})
        return await self.read(exercise_id, principal)

    async def promote(self, exercise_id: UUID, precondition: Precondition, principal: Principal) -> Versioned[Exercise]:
        """Give a user's exercise to everybody; references to it stay. For superusers.

        Raises:
            NotFound: there is none with this id.
            Conflict: it is the system's already, or its name or slug is taken there.
        """
        locked = await self._lock(exercise_id)
        if locked["created_by"] is None:
            raise Conflict("It is an exercise of the system already.")
        precondition.check(locked["version"], _access(locked["created_by"], principal))
        announce(self._session, CATALOGUE_CHANGED)
        changes = {"created_by": None, "is_system_default": True, "slug": slugify(locked["name"])}
        await self._update(exercise_id, changes)
        return await self.read(exercise_id, principal)

    async def merge(
        self, exercise_id: UUID, into_id: UUID, precondition: Precondition, principal: Principal
    ) -> Versioned[Exercise]:
        """Replace an exercise of the caller's own, in templates and history, by another one; names there stay.

        Raises:
            NotFound: there is no such exercise, or no such target that the caller may use.
            Forbidden: it is not the caller's.
            RuleBroken: the target is archived, or the exercise itself.
        """
        # In the order of their ids, so that merging both ways at once is no deadlock.
        rows = {wanted: await self._find(_HOLD, wanted) for wanted in sorted({exercise_id, into_id})}
        locked, target = rows[exercise_id], rows[into_id]
        if locked is None:
            raise NotFound
        if locked["created_by"] != principal.user_id:
            raise Forbidden
        precondition.check(locked["version"], _access(locked["created_by"], principal))
        if into_id == exercise_id:
            raise RuleBroken.of("intoId", "An exercise can't be merged into itself.")
        if target is None or target["created_by"] not in {None, principal.user_id}:
            raise NotFound("There is no exercise with the id of intoId.")
        if not target["is_active"]:
            raise RuleBroken.of("intoId", "This exercise is archived.")
        # Who logs a set has locked the session first, and then the exercise; so do we. What was logged meanwhile is
        # there when nobody else has the exercise any more.
        await self._repoint(exercise_id, into_id)
        await self._lock(exercise_id)
        await self._repoint(exercise_id, into_id)
        await self._session.execute(delete(models.Exercise).where(models.Exercise.id == exercise_id))
        return await self.read(into_id, principal)

    async def _repoint(self, exercise_id: UUID, into_id: UUID) -> None:
        for table in _REFERRING_TABLES:
            repointed = text(f"UPDATE {table} SET exercise_id = :into WHERE exercise_id = :id")
            await self._session.execute(repointed, {"id": exercise_id, "into": into_id})

    async def _create(self, given: dict[str, Any], principal: Principal, **fixed: object) -> Versioned[Exercise]:
        links, aliases = _take_links(given), given.pop("aliases", None) or []
        await self._require_known(links)
        exercise_id = uuid7()
        columns = {**self._columns(given), **fixed}
        columns["default_mode"] = columns.get("default_mode") or models.ExerciseMode.REPS
        await self._session.execute(insert(models.Exercise).values(id=exercise_id, **columns))
        await self._replace_links(exercise_id, {name: ids for name, ids in links.items() if ids})
        await self._replace_aliases(exercise_id, [], aliases)
        return await self.read(exercise_id, principal)

    async def _change(
        self, exercise_id: UUID, given: dict[str, Any], precondition: Precondition, principal: Principal
    ) -> Versioned[Exercise]:
        """Change an exercise whose row is locked; what is equal to what is stored is not written."""
        stored = await self.read(exercise_id, principal)
        precondition.check(stored.version, stored.access)
        before = stored.document
        links, aliases = _take_links(given), given.pop("aliases", UNSET)
        _check_merged(before, given, links)
        await self._require_known(links)
        columns = self._columns(given)
        if "name" in columns and before.created_by is None:
            columns["slug"] = slugify(columns["name"])
        await self._update(exercise_id, columns)
        await self._replace_links(
            exercise_id, {name: ids for name, ids in links.items() if set(ids) != _ids(before, name)}
        )
        if aliases is not UNSET:
            await self._replace_aliases(exercise_id, before.aliases, aliases or [])
        return await self.read(exercise_id, principal)

    async def _lock(self, exercise_id: UUID) -> RowMapping:
        row = await self._find(_LOCK, exercise_id)
        if row is None:
            raise NotFound
        return row

    async def _find(self, statement: TextClause, exercise_id: UUID) -> RowMapping | None:
        return (await self._session.execute(statement, {"id": exercise_id})).mappings().one_or_none()

    async def _lock_own(self, exercise_id: UUID, precondition: Precondition, principal: Principal) -> RowMapping:
        """Lock what the caller owns, or what is the system's where the caller is a superuser."""
        locked = await self._lock(exercise_id)
        if locked["created_by"] is None and principal.is_superuser:
            announce(self._session, CATALOGUE_CHANGED)
        elif locked["created_by"] != principal.user_id:
            raise Forbidden
        precondition.check(locked["version"], _access(locked["created_by"], principal))
        return locked

    async def _update(self, exercise_id: UUID, columns: Mapping[str, object]) -> None:
        """Write columns of the exercise's own row, unless they hold these values already."""
        if not columns:
            return
        changed = or_(*(getattr(models.Exercise, name).is_distinct_from(value) for name, value in columns.items()))
        statement = update(models.Exercise).where(models.Exercise.id == exercise_id, changed).values(**columns)
        await self._session.execute(statement, execution_options={"synchronize_session": False})

    async def _require_known(self, links: Mapping[str, Sequence[int]]) -> None:
        wanted = {name: joined(links.get(name, ())) for name in LINKS}
        unknown = (await self._session.execute(text(_UNKNOWN), wanted)).all()
        if unknown:
            named = ", ".join(f"{field} {entry_id}" for field, entry_id in unknown)
            raise NotFound(f"These do not exist: {named}.")

    async def _replace_links(self, exercise_id: UUID, links: Mapping[str, Sequence[int]]) -> None:
        if not links:
            return
        parts = []
        for name in links:
            table, column, ids = LINKS[name].table, LINKS[name].column, _id_list(name)
            gone = f"DELETE FROM {table} WHERE exercise_id = :id AND {column} <> ALL ({ids})"
            new = (
                f"INSERT INTO {table} SELECT CAST(:id AS uuid), wanted FROM unnest({ids}) wanted ON CONFLICT DO NOTHING"
            )
            parts += [f"gone_{name} AS ({gone})", f"new_{name} AS ({new})"]
        values = {name: joined(ids) for name, ids in links.items()}
        await self._session.execute(text(f"WITH {', '.join(parts)} SELECT"), {"id": exercise_id, **values})

    async def _replace_aliases(self, exercise_id: UUID, before: Sequence[str], after: Sequence[str]) -> None:
        if len({alias.lower() for alias in after}) < len(after):
            raise RuleBroken.of("aliases", "Each alias may be given once.")
        if before and list(before) != list(after):
            await self._session.execute(_DROP_ALIASES, {"id": exercise_id})
        if after and list(before) != list(after):
            encoded = msgspec.json.encode(after, enc_hook=str).decode()
            await self._session.execute(_ADD_ALIASES, {"id": exercise_id, "aliases": encoded})

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of the exercise's own row, with pictures as they are stored."""
        images = {
            name: self._image_path(name, given[name])
            for name in ("image_path_start", "image_path_end")
            if given.get(name) is not None
        }
        return {**given, **images}

    def _image_path(self, name: str, value: str) -> str:
        path = value.removeprefix(self._cdn_url)
        if not _IMAGE_PATH.fullmatch(path) or len(path) > _LONGEST_IMAGE_PATH:
            wire = "imagePathStart" if name == "image_path_start" else "imagePathEnd"
            raise RuleBroken.of(wire, "Expected a path such as /folder/file.jpg.", "pattern")
        return path


@asynccontextmanager
async def _lend(session: AsyncSession) -> AsyncIterator[Connection]:
    yield await raw_connection(session)


def _access(created_by: UUID | None, principal: Principal) -> str:
    """What the caller may do with an exercise."""
    if created_by == principal.user_id:
        return "owner"
    if principal.is_superuser:
        return "admin"
    return "read" if created_by is None or principal.role_slug == _TRAINER else _NO_ACCESS


def _given(data: Struct) -> dict[str, Any]:
    """What a body says."""
    return {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}


def _take_links(given: dict[str, Any]) -> dict[str, list[int]]:
    """Take the references to lists out of a body, each id once."""
    return {name: list(dict.fromkeys(given.pop(name) or [])) for name in LINKS if name in given}


def _check_merged(before: Exercise, given: Mapping[str, Any], links: Mapping[str, Sequence[int]]) -> None:
    """What a body has to have as a whole, once a change is merged into it."""
    after = {name: links[name] if name in links else _ids(before, name) for name in LINKS}
    check_muscles(after["primary_muscles"], after["secondary_muscles"])
    if before.created_by is None:
        missing = [] if after["tags"] else [BrokenField("missing", "tags", "A system exercise needs a tag.")]
        if not given.get("instructions", before.instructions):
            missing.append(BrokenField("missing", "instructions", "A system exercise needs instructions."))
        if missing:
            raise RuleBroken(missing)


def _ids(exercise: Exercise, name: str) -> set[int]:
    entries: list[Entry] = getattr(exercise, name)
    return {entry.id for entry in entries}
