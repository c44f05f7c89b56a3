"""The shipped catalogue in a database: what the files say now, but where an administrator has said otherwise."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.transaction import announce
from app.domain.catalogue.files import SHIPPED, Catalogue, ReferenceLists, digest, load_catalogue
from app.domain.catalogue.links import LINKS
from app.domain.catalogue.memory import CATALOGUE_CHANGED
from app.domain.catalogue.merge import (
    LISTS,
    Change,
    Comparison,
    Document,
    Progress,
    Records,
    present_rows,
    read_records,
    read_stored,
    record,
    store_changes,
    take_turns,
)
from app.domain.catalogue.models import SeedKind
from app.domain.catalogue.names import slugify

__all__ = ("AUTHOR", "LICENCE", "SOURCE", "SeedReport", "seed_catalogue", "seed_changed_catalogue")


SOURCE: Final = "irontrack"
"""What the column source of a shipped exercise says; its external_id is the key of the entry."""

AUTHOR: Final = "IronTrack"
LICENCE: Final = "MIT"


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


_RECORDED_DIGEST: Final = text("SELECT content FROM catalogue_seed WHERE kind = 'files'")

_TAKEN: Final = text("SELECT id, lower(name) AS name, slug FROM exercises WHERE is_system_default")


_ADD_ENTRIES: Final = """
    INSERT INTO {table} (name)
    SELECT name FROM jsonb_array_elements_text(CAST(:names AS jsonb)) WITH ORDINALITY AS missing (name, place)
    ORDER BY place
    RETURNING id, name
"""


async def seed_changed_catalogue(session: AsyncSession) -> None:
    """Seed the shipped catalogue, unless these very files were seeded last."""
    if await session.scalar(_RECORDED_DIGEST) != digest():
        await seed_catalogue(session)


async def seed_catalogue(session: AsyncSession, folder: Path = SHIPPED, progress: Progress | None = None) -> SeedReport:
    """Bring the files of a folder into the database, and keep what an administrator has changed there.

    Rows stay the same rows, so that templates and history refer to them as before. What is as the files have it is not
    written at all.

    Raises:
        CatalogueFileError: a file is not what it should be; nothing is stored then.
    """
    catalogue = load_catalogue(folder)
    await take_turns(session)
    records = await read_records(session, (SeedKind.EXERCISE, *LISTS))
    lists = await _seed_lists(session, catalogue.lists, records)
    stored = await read_stored(session, SOURCE)
    comparison = Comparison(_documents(catalogue, lists), records[SeedKind.EXERCISE], stored)
    comparison.refuse(_refused(comparison.changes, (await session.execute(_TAKEN)).mappings().all()))
    await store_changes(session, SOURCE, comparison.changes, progress)
    for table in LISTS:
        await record(session, table, lists[table].ids)
    await record(session, SeedKind.EXERCISE, comparison.settled)
    await record(session, SeedKind.FILES, {"": digest(folder)})
    report = _report(comparison, sum(rows.added for rows in lists.values()))
    if report.entries or report.added or report.updated:
        announce(session, CATALOGUE_CHANGED)
    return report


class _ListRows(Struct):
    """The rows of a reference list that stand for names in the files; those that were deleted are left out."""

    ids: dict[str, int]
    added: int


async def _seed_lists(session: AsyncSession, lists: ReferenceLists, records: Records) -> dict[SeedKind, _ListRows]:
    """Find or add the rows of the reference lists; what an administrator renamed or deleted stays so."""
    present = await present_rows(session, records)
    rows = {}
    for table in LISTS:
        names: tuple[str, ...] = getattr(lists, table)
        there = {name: present[table][name] for name in names if name in present[table]}
        missing = [name for name in names if name not in there and name not in records[table]]
        added = await session.execute(
            text(_ADD_ENTRIES.format(table=table)), {"names": msgspec.json.encode(missing).decode()}
        )
        rows[table] = _ListRows(there | {row.name: row.id for row in added}, len(missing))
    return rows


def _documents(catalogue: Catalogue, lists: Mapping[SeedKind, _ListRows]) -> dict[str, Document]:
    documents = {}
    for category, exercises in catalogue.exercises.items():
        for key, exercise in exercises.items():
            document: Document = msgspec.to_builtins(exercise)
            for field, link in LINKS.items():
                ids = lists[SeedKind(link.entries.table)].ids
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


def _refused(changes: list[Change], taken: Sequence[RowMapping]) -> dict[str, str]:
    """Changes of names to those of other exercises, and exercises without a primary muscle."""
    owners: dict[str, UUID] = {}
    for row in taken:
        owners |= {row["name"]: row["id"], f"/{row['slug']}": row["id"]}
    refused = {}
    for change in changes:
        names = {change.document["name"].lower(), f"/{slugify(change.document['name'])}"}
        if not all(owners.setdefault(name, change.id) == change.id for name in names):
            refused[change.key] = "Another exercise has the name."
        elif not change.document["primary_muscles"]:
            refused[change.key] = "None of its primary muscles is left."
    return refused


def _report(comparison: Comparison, entries: int) -> SeedReport:
    return SeedReport(
        entries=entries,
        added=sorted(change.key for change in comparison.added),
        updated=sorted(change.key for change in comparison.updated),
        unchanged=len(comparison.unchanged),
        edited=comparison.edited,
        deleted=comparison.deleted,
        refused=list(comparison.refused),
        retired=comparison.absent,
    )
