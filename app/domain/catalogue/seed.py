"""The shipped catalogue in a database: what the files say now, but where an administrator has said otherwise.

Each seeding records what it was given. So the next one knows, field by field, whether the files or the database has
changed since: what the files changed is taken over, what an administrator changed is kept.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.transaction import announce
from app.domain.catalogue.files import SHIPPED, Catalogue, ReferenceLists, digest, load_catalogue
from app.domain.catalogue.links import LINKS
from app.domain.catalogue.memory import CATALOGUE_CHANGED
from app.domain.catalogue.names import slugify

__all__ = ("AUTHOR", "LICENCE", "SOURCE", "SeedReport", "seed_catalogue", "seed_changed_catalogue")

# ruff: noqa: S608 (statements are put together from constants alone; values are parameters)

SOURCE: Final = "irontrack"
"""What the column source of a shipped exercise says; its external_id is the key of the entry."""

AUTHOR: Final = "IronTrack"
LICENCE: Final = "MIT"
_BATCH: Final = 200

Progress = Callable[[int, int], None]
"""Is told how many exercises of how many are done."""


class SeedReport(Struct, frozen=True, rename="camel"):
    """What seeding has done. Exercises are named by their keys.

    Attributes:
        entries: rows added to the reference lists.
        unchanged: how many exercises were as the files have them.
        edited: fields of an exercise that an administrator has changed; they stay.
        deleted: what an administrator has deleted; it stays away.
        refused: what is not stored because its name or slug is another exercise's, or its muscles are gone.
        retired: what the files no longer have; it stays.
    """

    entries: int
    added: list[str]
    updated: list[str]
    unchanged: int
    edited: dict[str, list[str]]
    deleted: list[str]
    refused: list[str]
    retired: list[str]


# Two seedings at once take turns: what is missing is the same for both.
_TAKE_TURNS: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('irontrack.catalogue.seed', 0))")

_RECORDS: Final = text("SELECT kind, key, content FROM catalogue_seed")

_RECORD: Final = text("""
    INSERT INTO catalogue_seed (kind, key, content)
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (kind text, key text, content jsonb)
    ON CONFLICT (kind, key) DO UPDATE SET content = excluded.content
    WHERE catalogue_seed.content IS DISTINCT FROM excluded.content
""")

_RECORDED_DIGEST: Final = text("SELECT content FROM catalogue_seed WHERE kind = 'files'")

# An exercise that was never recorded and not changed since it was made is one of a seeding before there were records.
_STORED: Final = text(f"""
    SELECT e.id, e.external_id AS key, e.updated_at < e.created_at + interval '5 seconds' AS untouched,
        jsonb_build_object(
            'name', e.name, 'force', e.force, 'mechanic', e.mechanic, 'category', e.category,
            'difficulty_level', e.difficulty_level, 'default_mode', e.default_mode,
            'image_path_start', e.image_path_start, 'image_path_end', e.image_path_end,
            'licence', e.licence, 'author', e.author, 'archived', NOT e.is_active, 'instructions', e.instructions,
            'aliases', ARRAY(SELECT alias FROM exercise_aliases a WHERE a.exercise_id = e.id ORDER BY a.id),
            {
    ", ".join(
        f"'{field}', ARRAY(SELECT {link.column} FROM {link.table} l WHERE l.exercise_id = e.id)"
        for field, link in LINKS.items()
    )
}) AS document
    FROM exercises e WHERE e.source = :source
""")

_TAKEN: Final = text("SELECT id, lower(name) AS name, slug FROM exercises WHERE is_system_default")

_PUT_EXERCISES: Final = text("""
    INSERT INTO exercises (id, name, slug, force, mechanic, difficulty_level, category, default_mode, instructions,
        image_path_start, image_path_end, is_active, is_system_default, source, external_id, author, licence)
    SELECT id, name, slug, force, mechanic, difficulty_level, category, default_mode, instructions,
        image_path_start, image_path_end, NOT archived, true, :source, key, author, licence
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (id uuid, key text, name text, slug text, force text,
        mechanic text, difficulty_level text, category text, default_mode text, instructions text,
        image_path_start text, image_path_end text, archived bool, author text, licence text)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, slug = excluded.slug, force = excluded.force,
        mechanic = excluded.mechanic, difficulty_level = excluded.difficulty_level, category = excluded.category,
        default_mode = excluded.default_mode, instructions = excluded.instructions,
        image_path_start = excluded.image_path_start, image_path_end = excluded.image_path_end,
        is_active = excluded.is_active, author = excluded.author, licence = excluded.licence
""")

_DROP_LINKS: Final = """
    DELETE FROM {table} l
    USING jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (id uuid, {field} jsonb)
    WHERE l.exercise_id = given.id AND NOT given.{field} @> to_jsonb(l.{column})
"""

_ADD_LINKS: Final = """
    INSERT INTO {table} (exercise_id, {column})
    SELECT given.id, linked.id::smallint
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (id uuid, {field} jsonb)
    CROSS JOIN jsonb_array_elements_text(given.{field}) AS linked (id)
    ON CONFLICT DO NOTHING
"""

_DROP_ALIASES: Final = text("""
    DELETE FROM exercise_aliases USING jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (id uuid)
    WHERE exercise_id = given.id
""")

_ADD_ALIASES: Final = text("""
    INSERT INTO exercise_aliases (exercise_id, alias)
    SELECT given.id, named.alias
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (id uuid, aliases text[])
    CROSS JOIN unnest(given.aliases) WITH ORDINALITY AS named (alias, position)
    ORDER BY given.id, named.position
""")

# Fields that make sense together alone: a muscle is either primary or secondary.
_TOGETHER: Final = frozenset({"primary_muscles", "secondary_muscles"})

Document = dict[str, Any]
"""The fields of an exercise; references are ids of rows, in order."""


class _Change(Struct):
    """An exercise that is to be stored.

    Attributes:
        changed: names of the fields that are not stored like this yet.
    """

    id: UUID
    key: str
    document: Document
    changed: frozenset[str]


async def seed_changed_catalogue(session: AsyncSession) -> None:
    """Seed the shipped catalogue, unless these very files were seeded last."""
    if await session.scalar(_RECORDED_DIGEST) != digest():
        await seed_catalogue(session)


async def seed_catalogue(session: AsyncSession, folder: Path = SHIPPED, progress: Progress | None = None) -> SeedReport:
    """Bring the files of a folder into the database, and keep what an administrator has changed there.

    Rows stay the same rows, so that templates and history refer to them as before. What is as the files have it is not
    written at all.

    Raises:
        ValueError: a file is not what it should be; nothing is stored then.
    """
    catalogue = load_catalogue(folder)
    await session.execute(_TAKE_TURNS)
    records: dict[str, dict[str, Any]] = {}
    for kind, key, content in await session.execute(_RECORDS):
        records.setdefault(kind, {})[key] = content
    lists = await _seed_lists(session, catalogue.lists, records)
    stored = (await session.execute(_STORED, {"source": SOURCE})).mappings().all()
    comparison = _Comparison(_documents(catalogue, lists), records.get("exercise", {}), stored)
    comparison.drop_refused((await session.execute(_TAKEN)).mappings().all())
    await _store(session, comparison.changes, progress)
    await _record(session, lists, comparison.settled, digest(folder))
    report = comparison.report(sum(lists[name].added for name in lists))
    if report.entries or report.added or report.updated:
        announce(session, CATALOGUE_CHANGED)
    return report


class _ListRows(Struct):
    """The rows of a reference list that stand for names in the files; those that were deleted are left out."""

    ids: dict[str, int]
    added: int = 0


async def _seed_lists(
    session: AsyncSession, lists: ReferenceLists, records: Mapping[str, Mapping[str, Any]]
) -> dict[str, _ListRows]:
    """Find or add the rows of the reference lists; what an administrator renamed or deleted stays so."""
    rows = {}
    for table, names in msgspec.structs.asdict(lists).items():
        rows_present = await session.execute(text(f"SELECT name, id FROM {table}"))
        present = {row.name: row.id for row in rows_present}
        recorded = records.get(table, {})
        found = _ListRows({})
        for name in names:
            entry_id = recorded.get(name, present.get(name))
            if entry_id is None:
                added = text(f"INSERT INTO {table} (name) VALUES (:name) RETURNING id")
                entry_id = (await session.execute(added, {"name": name})).scalar_one()
                found.added += 1
            elif entry_id not in present.values():
                continue
            found.ids[name] = entry_id
        rows[table] = found
    return rows


def _documents(catalogue: Catalogue, lists: Mapping[str, _ListRows]) -> dict[str, Document]:
    documents = {}
    for category, exercises in catalogue.exercises.items():
        for key, exercise in exercises.items():
            document: Document = msgspec.to_builtins(exercise)
            for field, link in LINKS.items():
                ids = lists[link.entries.table].ids
                document[field] = sorted(ids[name] for name in getattr(exercise, field) if name in ids)
            documents[key] = {
                **_DEFAULTS,
                **document,
                "aliases": list(exercise.aliases),
                "category": category.value,
                "author": exercise.author or AUTHOR,
                "licence": exercise.licence or LICENCE,
            }
    return documents


_DEFAULTS: Final[Document] = {
    "force": None,
    "mechanic": None,
    "image_path_start": None,
    "image_path_end": None,
    "archived": False,
}


class _Comparison:
    """The files beside the database and the records of the last seeding.

    Attributes:
        changes: what is to be stored.
    """

    def __init__(
        self, wanted: dict[str, Document], recorded: Mapping[str, Document], stored: Iterable[RowMapping]
    ) -> None:
        self._wanted = wanted
        self.changes: list[_Change] = []
        self._stored = {row["key"]: row for row in stored}
        self._edited: dict[str, list[str]] = {}
        self._deleted: list[str] = []
        self._refused: list[str] = []
        self._retired = sorted(self._stored.keys() - wanted.keys())
        for key, document in wanted.items():
            if key in self._stored:
                self._compare(key, document, recorded.get(key))
            elif key in recorded:
                self._deleted.append(key)
            else:
                self.changes.append(_Change(uuid7(), key, document, frozenset(document)))

    def drop_refused(self, taken: Iterable[RowMapping]) -> None:
        """Drop changes of names to those of other exercises, and exercises without a primary muscle."""
        owners: dict[str, UUID] = {}
        for row in taken:
            owners |= {row["name"]: row["id"], f"/{row['slug']}": row["id"]}
        accepted = []
        for change in self.changes:
            names = {change.document["name"].lower(), f"/{slugify(change.document['name'])}"}
            free = all(owners.setdefault(name, change.id) == change.id for name in names)
            if free and change.document["primary_muscles"]:
                accepted.append(change)
            else:
                self._refused.append(change.key)
        self.changes = accepted

    @property
    def settled(self) -> dict[str, Document]:
        """What the files say, but for what is refused: the next seeding tries that again."""
        return {key: document for key, document in self._wanted.items() if key not in self._refused}

    def report(self, entries: int) -> SeedReport:
        """What was done, once the changes are stored."""
        changed = {change.key for change in self.changes}
        return SeedReport(
            entries=entries,
            added=sorted(changed - self._stored.keys()),
            updated=sorted(changed & self._stored.keys()),
            unchanged=len(self._wanted.keys() & self._stored.keys() - changed),
            edited=self._edited,
            deleted=self._deleted,
            refused=self._refused,
            retired=self._retired,
        )

    def _compare(self, key: str, wanted: Document, recorded: Document | None) -> None:
        row = self._stored[key]
        current: Document = {name: _in_order(value) for name, value in row["document"].items()}
        # Of one that was touched before there were records, every difference counts as an administrator's.
        before = recorded or (current if row["untouched"] else wanted)
        differing = {name for name in wanted if wanted[name] != current.get(name)}
        edited = {name for name in differing if current.get(name) != before.get(name, current.get(name))}
        if edited & _TOGETHER:
            edited |= differing & _TOGETHER
        if edited:
            self._edited[key] = sorted(edited)
        if changed := differing - edited:
            document = {**wanted, **{name: current.get(name) for name in edited}}
            self.changes.append(_Change(row["id"], key, document, frozenset(changed)))


def _in_order(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) and value and isinstance(value[0], int) else value


async def _store(session: AsyncSession, changes: list[_Change], progress: Progress | None) -> None:
    for start in range(0, len(changes), _BATCH):
        batch = changes[start : start + _BATCH]
        rows = [
            {**change.document, "id": change.id, "key": change.key, "slug": slugify(change.document["name"])}
            for change in batch
        ]
        encoded = msgspec.json.encode(rows).decode()
        await session.execute(_PUT_EXERCISES, {"rows": encoded, "source": SOURCE})
        for field, link in LINKS.items():
            for statement in (_DROP_LINKS, _ADD_LINKS):
                put = text(statement.format(table=link.table, column=link.column, field=field))
                await session.execute(put, {"rows": encoded})
        renamed = [row for row, change in zip(rows, batch, strict=True) if "aliases" in change.changed]
        for put in (_DROP_ALIASES, _ADD_ALIASES):
            await session.execute(put, {"rows": msgspec.json.encode(renamed).decode()})
        if progress is not None:
            progress(start + len(batch), len(changes))


async def _record(
    session: AsyncSession, lists: Mapping[str, _ListRows], wanted: Mapping[str, Document], files: str
) -> None:
    """Remember what was given, for the next seeding."""
    rows = [
        {"kind": "files", "key": "", "content": files},
        *(
            {"kind": table, "key": name, "content": row}
            for table, rows in lists.items()
            for name, row in rows.ids.items()
        ),
        *({"kind": "exercise", "key": key, "content": document} for key, document in wanted.items()),
    ]
    await session.execute(_RECORD, {"rows": msgspec.json.encode(rows).decode()})
