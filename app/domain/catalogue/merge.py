"""What a list of exercises says, brought into the database without undoing what an administrator said there.

Whoever brings a list records what was given. So the next time it is known, field by field, whether the list or the
database has changed since: what the list changed is taken over, what an administrator changed is kept. Seeding compares
the shipped files this way, importing the lists of others.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.domain.catalogue.links import LINKS, joined
from app.domain.catalogue.models import SeedKind
from app.domain.catalogue.names import slugify

__all__ = (
    "LISTS",
    "Change",
    "Comparison",
    "Document",
    "Progress",
    "Records",
    "present_rows",
    "read_records",
    "read_stored",
    "record",
    "store_changes",
    "take_turns",
)

# ruff: noqa: S608 (statements are put together from constants alone; values are parameters)

_BATCH: Final = 200

LISTS: Final = (SeedKind.MUSCLE_GROUPS, SeedKind.EQUIPMENT, SeedKind.EXERCISE_TAGS)
"""The reference lists: names of their tables, and of the records about their rows."""

Progress = Callable[[int, int], None]
"""Is told how many exercises of how many are done."""

Document = dict[str, Any]
"""The fields of an exercise; references are ids of rows, in order."""

Records = Mapping[SeedKind, Mapping[str, Any]]
"""What was recorded: by kind, then by key."""

# Two at once take turns: what is missing is the same for both.
_TAKE_TURNS: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('irontrack.catalogue.seed', 0))")

_RECORDS: Final = text("""
    SELECT kind, key, content FROM catalogue_seed WHERE kind = ANY (string_to_array(:kinds, ','))
""")

_RECORD: Final = text("""
    INSERT INTO catalogue_seed (kind, key, content)
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (kind text, key text, content jsonb)
    ON CONFLICT (kind, key) DO UPDATE SET content = excluded.content
    WHERE catalogue_seed.content IS DISTINCT FROM excluded.content
""")

# Whoever changes an exercise locks its row first; what is compared must be what is overwritten.
_LOCK: Final = text("SELECT id FROM exercises WHERE source = :source ORDER BY id FOR NO KEY UPDATE")

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


class Change(Struct):
    """An exercise that is to be stored.

    Attributes:
        changed: names of the fields that are not stored like this yet.
    """

    id: UUID
    key: str
    document: Document
    changed: frozenset[str]


class Comparison:
    """A list beside the database and the records of the last time.

    Attributes:
        changes: what is to be stored.
        edited: fields of an exercise that an administrator has changed; they stay.
        deleted: what an administrator has deleted; it stays away.
        absent: what the list no longer has; it stays.
        refused: changes that must not be stored, and why.
    """

    def __init__(
        self, wanted: Mapping[str, Document], recorded: Mapping[str, Document], stored: Iterable[RowMapping]
    ) -> None:
        self._wanted = wanted
        self._stored = {row["key"]: row for row in stored}
        self.changes: list[Change] = []
        self.edited: dict[str, list[str]] = {}
        self.deleted: list[str] = []
        self.absent = sorted(self._stored.keys() - wanted.keys())
        self.refused: dict[str, str] = {}
        for key, document in wanted.items():
            if key in self._stored:
                self._compare(key, document, recorded.get(key))
            elif key in recorded:
                self.deleted.append(key)
            else:
                self.changes.append(Change(uuid7(), key, document, frozenset(document)))

    def refuse(self, refused: Mapping[str, str]) -> None:
        """Drop these changes; each key has its reason."""
        self.refused |= refused
        self.changes = [change for change in self.changes if change.key not in refused]

    @property
    def added(self) -> list[Change]:
        """Changes that make an exercise."""
        return [change for change in self.changes if change.key not in self._stored]

    @property
    def updated(self) -> list[Change]:
        """Changes of an exercise that is there."""
        return [change for change in self.changes if change.key in self._stored]

    @property
    def unchanged(self) -> list[str]:
        """What stays as it is stored."""
        changed = {change.key for change in self.changes}
        return [key for key in self._wanted if key in self._stored and key not in changed]

    @property
    def settled(self) -> dict[str, Document]:
        """What the list says, but for what is refused: the next time tries that again."""
        return {key: document for key, document in self._wanted.items() if key not in self.refused}

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
            self.edited[key] = sorted(edited)
        if changed := differing - edited:
            document = {**wanted, **{name: current.get(name) for name in edited}}
            self.changes.append(Change(row["id"], key, document, frozenset(changed)))


async def take_turns(session: AsyncSession) -> None:
    """Wait until nobody else compares; others wait until this transaction ends."""
    await session.execute(_TAKE_TURNS)


async def read_records(session: AsyncSession, kinds: Collection[SeedKind]) -> dict[SeedKind, dict[str, Any]]:
    """What was recorded of some kinds; each of them has an entry."""
    records: dict[SeedKind, dict[str, Any]] = {kind: {} for kind in kinds}
    for kind, key, content in await session.execute(_RECORDS, {"kinds": joined(kinds)}):
        records[SeedKind(kind)][key] = content
    return records


async def present_rows(session: AsyncSession, records: Records) -> dict[SeedKind, dict[str, int]]:
    """The rows of the reference lists, by list and by the name that files have for them.

    A row that an administrator has renamed is found by the shipped name; one that was deleted is not there.
    """
    rows = {}
    for table in LISTS:
        present = {row.name: row.id for row in await session.execute(text(f"SELECT name, id FROM {table}"))}
        ids = set(present.values())
        recorded = records[table]
        rows[table] = {name: row_id for name, row_id in present.items() if name not in recorded} | {
            name: row_id for name, row_id in recorded.items() if row_id in ids
        }
    return rows


async def read_stored(session: AsyncSession, source: str) -> list[RowMapping]:
    """The exercises that came from a source: id, key, document, and whether nobody has touched them since.

    Their rows are locked until the transaction ends.
    """
    await session.execute(_LOCK, {"source": source})
    return list((await session.execute(_STORED, {"source": source})).mappings())


async def store_changes(
    session: AsyncSession, source: str, changes: list[Change], progress: Progress | None = None
) -> None:
    """Write the exercises that are not stored like this yet."""
    for start in range(0, len(changes), _BATCH):
        batch = changes[start : start + _BATCH]
        rows = [
            {**change.document, "id": change.id, "key": change.key, "slug": slugify(change.document["name"])}
            for change in batch
        ]
        encoded = msgspec.json.encode(rows).decode()
        await session.execute(_PUT_EXERCISES, {"rows": encoded, "source": source})
        for field, link in LINKS.items():
            for statement in (_DROP_LINKS, _ADD_LINKS):
                put = text(statement.format(table=link.table, column=link.column, field=field))
                await session.execute(put, {"rows": encoded})
        renamed = [row for row, change in zip(rows, batch, strict=True) if "aliases" in change.changed]
        for put in (_DROP_ALIASES, _ADD_ALIASES):
            await session.execute(put, {"rows": msgspec.json.encode(renamed).decode()})
        if progress is not None:
            progress(start + len(batch), len(changes))


async def record(session: AsyncSession, kind: SeedKind, given: Mapping[str, Any]) -> None:
    """Remember what was given, by key, for the next time."""
    rows = [{"kind": kind, "key": key, "content": content} for key, content in given.items()]
    await session.execute(_RECORD, {"rows": msgspec.json.encode(rows).decode()})


def _in_order(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) and value and isinstance(value[0], int) else value
