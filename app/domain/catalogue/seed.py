"""The shipped catalogue: read from its files, and brought into a database."""

import tomllib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.domain.catalogue.links import LINKS
from app.domain.catalogue.models import Category, DifficultyLevel, ExerciseMode, Force, Mechanic
from app.domain.catalogue.names import slugify

__all__ = ("SOURCE", "Catalogue", "ReferenceLists", "SeedReport", "ShippedExercise", "load_catalogue", "seed_catalogue")

SOURCE: Final = "irontrack"
"""What the column source of a shipped exercise says; its external_id is the key of the entry."""

_AUTHOR: Final = "IronTrack"
_LICENCE: Final = "MIT"

_Text = Annotated[str, Meta(min_length=1, max_length=100)]


class ReferenceLists(Struct, frozen=True, forbid_unknown_fields=True):
    """The names in the lists that exercises refer to."""

    muscle_groups: tuple[_Text, ...]
    equipment: tuple[_Text, ...]
    exercise_tags: tuple[_Text, ...]


class ShippedExercise(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An entry of the data files.

    Attributes:
        instructions: one sentence a line.
    """

    name: _Text
    aliases: tuple[_Text, ...]
    force: Force
    mechanic: Mechanic
    difficulty_level: DifficultyLevel
    default_mode: ExerciseMode
    equipment: tuple[_Text, ...]
    primary_muscles: tuple[_Text, ...]
    secondary_muscles: tuple[_Text, ...]
    tags: tuple[_Text, ...]
    instructions: str

    @property
    def sentences(self) -> list[str]:
        """The sentences of the instructions."""
        return self.instructions.strip().splitlines()


class Catalogue(Struct, frozen=True):
    """All data files.

    Attributes:
        exercises: by category, then by key.
    """

    lists: ReferenceLists
    exercises: dict[Category, dict[str, ShippedExercise]]


class SeedReport(Struct, frozen=True, rename="camel"):
    """What seeding has done.

    Attributes:
        entries: rows added to the reference lists.
        added: exercises added.
        kept: exercises that were there already, and stay as they are.
        refused: keys of those whose name or slug another system exercise has.
    """

    entries: int
    added: int
    kept: int
    refused: list[str]


_DATA: Final = Path(__file__).parent / "data"

# Two seedings at once take turns: what is missing is the same for both.
_TAKE_TURNS: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('irontrack.catalogue.seed', 0))")

_PRESENT: Final = text("SELECT external_id FROM exercises WHERE source = :source")

_ADD_ENTRIES: Final = """
    INSERT INTO {table} (name)
    SELECT name FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS wanted (name, position)
    WHERE NOT EXISTS (SELECT FROM {table} present WHERE present.name = wanted.name)
    ORDER BY position
    RETURNING id
"""

_ADD_EXERCISES: Final = text("""
    INSERT INTO exercises (id, name, slug, force, mechanic, difficulty_level, category, default_mode, instructions,
        is_system_default, source, external_id, author, licence)
    SELECT id, name, slug, force, mechanic, difficulty_level, category, default_mode, instructions,
        true, :source, external_id, :author, :licence
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS wanted (id uuid, name text, slug text, force text, mechanic text,
        difficulty_level text, category text, default_mode text, instructions text, external_id text)
    ON CONFLICT DO NOTHING
    RETURNING external_id
""")

_ADD_LINKS: Final = """
    INSERT INTO {table} (exercise_id, {column})
    SELECT added.id, listed.id
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS wanted (id uuid, {field} text[])
    JOIN exercises added ON added.id = wanted.id
    JOIN {entries} listed ON listed.name = ANY (wanted.{field})
"""

_ADD_ALIASES: Final = text("""
    INSERT INTO exercise_aliases (exercise_id, alias)
    SELECT added.id, named.alias
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS wanted (id uuid, aliases text[])
    JOIN exercises added ON added.id = wanted.id
    CROSS JOIN unnest(wanted.aliases) WITH ORDINALITY AS named (alias, position)
    ORDER BY added.id, named.position
""")


class _Row(Struct):
    """A shipped exercise as the statements take it."""

    id: UUID
    external_id: str
    name: str
    slug: str
    aliases: tuple[str, ...]
    force: Force
    mechanic: Mechanic
    difficulty_level: DifficultyLevel
    category: Category
    default_mode: ExerciseMode
    instructions: str
    primary_muscles: tuple[str, ...]
    secondary_muscles: tuple[str, ...]
    equipment: tuple[str, ...]
    tags: tuple[str, ...]


class _File(Struct, forbid_unknown_fields=True):
    category: Category
    exercises: dict[str, ShippedExercise]


def load_catalogue(folder: Path = _DATA) -> Catalogue:
    """Read the data files.

    Raises:
        ValueError: a file is not what it should be; the message names it.
    """
    lists = msgspec.convert(_read(folder / "reference.toml"), ReferenceLists)
    exercises: dict[Category, dict[str, ShippedExercise]] = {}
    for path in sorted(folder.glob("exercises/*.toml")):
        content = _read(path)
        try:
            file = msgspec.convert({"category": content.pop("category", None), "exercises": content}, _File)
        except msgspec.ValidationError as error:
            raise ValueError(f"{path.name}: {error}") from None
        exercises.setdefault(file.category, {}).update(file.exercises)
    return Catalogue(lists, exercises)


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: {error}") from None


async def seed_catalogue(session: AsyncSession, catalogue: Catalogue | None = None) -> SeedReport:
    """Add what is missing in a database; what is there stays as it is, whoever has changed it.

    Reference lists are filled at first, and later only with what a new exercise needs: what an administrator has
    renamed or deleted does not come back.

    Args:
        catalogue: the shipped one when None.
    """
    shipped = catalogue or load_catalogue()
    await session.execute(_TAKE_TURNS)
    present = set((await session.scalars(_PRESENT, {"source": SOURCE})).all())
    rows = [row for row in _rows(shipped) if row.external_id not in present]
    if not rows:
        return SeedReport(entries=0, added=0, kept=len(present), refused=[])
    entries = await _add_entries(session, _lists(rows, shipped.lists) if present else shipped.lists)
    encoded = msgspec.json.encode(rows).decode()
    origin = {"source": SOURCE, "author": _AUTHOR, "licence": _LICENCE}
    added = set((await session.scalars(_ADD_EXERCISES, {"rows": encoded, **origin})).all())
    for field, link in LINKS.items():
        statement = _ADD_LINKS.format(table=link.table, column=link.column, field=field, entries=link.entries.table)
        await session.execute(text(statement), {"rows": encoded})
    await session.execute(_ADD_ALIASES, {"rows": encoded})
    refused = [row.external_id for row in rows if row.external_id not in added]
    return SeedReport(entries=entries, added=len(added), kept=len(present), refused=refused)


async def _add_entries(session: AsyncSession, lists: ReferenceLists) -> int:
    count = 0
    for table, names in msgspec.structs.asdict(lists).items():
        added = await session.scalars(text(_ADD_ENTRIES.format(table=table)), {"names": list(names)})
        count += len(added.all())
    return count


def _lists(rows: Collection[_Row], shipped: ReferenceLists) -> ReferenceLists:
    """The part of the reference lists that some exercises need."""
    return ReferenceLists(
        muscle_groups=_used(shipped.muscle_groups, (row.primary_muscles + row.secondary_muscles for row in rows)),
        equipment=_used(shipped.equipment, (row.equipment for row in rows)),
        exercise_tags=_used(shipped.exercise_tags, (row.tags for row in rows)),
    )


def _used(names: Iterable[str], uses: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    needed = {name for use in uses for name in use}
    return tuple(name for name in names if name in needed)


def _rows(catalogue: Catalogue) -> Iterator[_Row]:
    for category, exercises in catalogue.exercises.items():
        for key, shipped in exercises.items():
            yield _Row(
                id=uuid7(),
                external_id=key,
                slug=slugify(shipped.name),
                category=category,
                **{**msgspec.structs.asdict(shipped), "instructions": " ".join(shipped.sentences)},
            )
