"""Public lists of exercises, brought into the catalogue of the system.

An import is compared as a seeding is: what the list has changed since the last import is taken over, what an
administrator has changed or deleted meanwhile stays so. What we have already, from elsewhere, is not taken again.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.transaction import announce
from app.domain.catalogue.formats.entries import Entry, Finding, Listing, Unusable, default_mode, folded
from app.domain.catalogue.formats.words import EQUIPMENT, MUSCLES
from app.domain.catalogue.memory import CATALOGUE_CHANGED
from app.domain.catalogue.merge import (
    LISTS,
    Comparison,
    Document,
    Progress,
    present_rows,
    read_records,
    read_stored,
    record,
    store_changes,
    take_turns,
)
from app.domain.catalogue.models import SeedKind
from app.domain.catalogue.names import slugify
from app.errors import RuleBroken

__all__ = ("ImportPlan", "ImportReport", "carry_out", "plan_import")

_NAMES: Final = text("""
    SELECT id, name, slug, source, external_id AS key,
        ARRAY(SELECT alias FROM exercise_aliases a WHERE a.exercise_id = e.id ORDER BY a.id) AS aliases
    FROM exercises e WHERE is_system_default
    ORDER BY id
""")


class ImportReport(Struct, frozen=True, rename="camel"):
    """What an import does.

    Attributes:
        source: where the list comes from.
        changed: with the fields that are taken over.
        edited: with the fields that an administrator has changed; they stay.
        deleted: by an administrator; they stay away.
        rejected: with the reasons.
        notes: what is left out of entries that are taken.
        absent: how many exercises of the source are not in the file; they stay.
    """

    source: str
    new: list[Finding]
    changed: list[Finding]
    equal: list[Finding]
    edited: list[Finding]
    deleted: list[Finding]
    rejected: list[Finding]
    notes: list[Finding]
    absent: int


class ImportPlan(Struct, frozen=True):
    """An import that may still be left be.

    Attributes:
        report: what it does when it is carried out.
    """

    source: SeedKind
    comparison: Comparison
    report: ImportReport


async def plan_import(session: AsyncSession, listing: Listing) -> ImportPlan:
    """Compare a list with the database; nothing is written. The plan is good until the transaction ends."""
    await take_turns(session)
    records = await read_records(session, (listing.source, *LISTS))
    resolution = _Resolution(listing.entries, await present_rows(session, records))
    present = list((await session.execute(_NAMES)).mappings())
    resolution.drop_taken_aliases(listing.source, present)
    stored = await read_stored(session, listing.source)
    comparison = Comparison(resolution.documents, records[listing.source], stored)
    comparison.refuse(_taken(comparison, present))
    return ImportPlan(listing.source, comparison, _report(listing, resolution, comparison))


async def carry_out(session: AsyncSession, plan: ImportPlan, progress: Progress | None = None) -> None:
    """Store what was planned in the same transaction, and remember what the list said."""
    comparison = plan.comparison
    await store_changes(session, plan.source, comparison.changes, progress)
    await record(session, plan.source, comparison.settled)
    if comparison.changes:
        announce(session, CATALOGUE_CHANGED)


class _Resolution:
    """Entries in the words of a list, as documents.

    Attributes:
        documents: by key.
        notes: what was left out, by key.
        rejected: reasons, by key.
    """

    def __init__(self, entries: Iterable[Entry], rows: Mapping[SeedKind, Mapping[str, int]]) -> None:
        self.documents: dict[str, Document] = {}
        self.notes: dict[str, list[str]] = {}
        self.rejected: dict[str, str] = {}
        self._rows = {table: {folded(name): row_id for name, row_id in ids.items()} for table, ids in rows.items()}
        names: dict[str, str] = {}
        for entry in entries:
            notes = self.notes[entry.key] = list(entry.notes)
            try:
                document = self._document(entry, notes)
                _claim(names, entry)
                self.documents[entry.key] = document
            except Unusable as error:
                self.rejected[entry.key] = str(error)

    def drop_taken_aliases(self, source: str, present: Iterable[RowMapping]) -> None:
        """Drop aliases by which another exercise is found: one that is present, or one of the list itself."""
        taken: dict[str, tuple[str, str]] = {}
        for row in present:
            if row["source"] != source or row["key"] not in self.documents:
                taken |= {folded(name): ("", row["name"]) for name in (row["name"], *row["aliases"])}
        for key, document in self.documents.items():
            taken.setdefault(folded(document["name"]), (key, document["name"]))
        for key, document in self.documents.items():
            kept = []
            for alias in document["aliases"]:
                owner, name = taken.setdefault(folded(alias), (key, document["name"]))
                if owner == key:
                    kept.append(alias)
                else:
                    self.notes[key].append(f"alias “{alias}”: {name} is found by it. Left out.")
            document["aliases"] = kept

    def _document(self, entry: Entry, notes: list[str]) -> Document:
        primary = self._ids(SeedKind.MUSCLE_GROUPS, entry.primary_muscles, MUSCLES, notes)
        if not primary:
            raise Unusable("None of its primary muscles is in our list: " + ", ".join(entry.primary_muscles[:10]))
        secondary = self._ids(SeedKind.MUSCLE_GROUPS, entry.secondary_muscles, MUSCLES, notes)
        notes += [f"secondary muscle “{word}”: It is primary already." for word in _words(secondary, primary)]
        equipment = self._ids(SeedKind.EQUIPMENT, entry.equipment, EQUIPMENT, notes)
        if entry.instructions is None:
            notes.append("No instructions are given.")
        return {
            "name": entry.name,
            "aliases": list(entry.aliases),
            "force": entry.force,
            "mechanic": entry.mechanic,
            "difficulty_level": entry.difficulty_level,
            "category": entry.category,
            "default_mode": default_mode(entry.category),
            "equipment": sorted(equipment),
            "primary_muscles": sorted(primary),
            "secondary_muscles": sorted(secondary.keys() - primary.keys()),
            "tags": [],
            "image_path_start": entry.image_path_start,
            "image_path_end": entry.image_path_end,
            "archived": False,
            "instructions": entry.instructions,
            "licence": entry.licence,
            "author": entry.author,
        }

    def _ids(
        self, table: SeedKind, words: Iterable[str], meanings: Mapping[str, str | None], notes: list[str]
    ) -> dict[int, str]:
        """The rows that words stand for, each with its word; unknown words are left out with a note."""
        rows = self._rows[table]
        ids: dict[int, str] = {}
        for word in words:
            meaning = meanings.get(folded(word), word)
            row_id = rows.get(folded(word)) or (rows.get(folded(meaning)) if meaning else None)
            if row_id is not None:
                ids.setdefault(row_id, word)
            elif meaning is not None:
                notes.append(f"“{word}” is not in our list {table.replace('_', ' ')}. Left out.")
        return ids


def _words(secondary: Mapping[int, str], primary: Mapping[int, str]) -> list[str]:
    return [word for row_id, word in secondary.items() if row_id in primary]


def _claim(names: dict[str, str], entry: Entry) -> None:
    """Note whose name it is.

    Raises:
        Unusable: it makes no slug, or an entry before has the name.
    """
    try:
        slug = slugify(entry.name)
    except RuleBroken as error:
        raise Unusable(error.details[0].message) from None
    claims = (folded(entry.name), f"/{slug}")
    if owner := next((names[claim] for claim in claims if claim in names), None):
        raise Unusable(f"The file has an exercise of this name already: {owner}.")
    names |= dict.fromkeys(claims, entry.key)


def _taken(comparison: Comparison, present: Iterable[RowMapping]) -> dict[str, str]:
    """Changes that give an exercise the name, alias or slug of another one."""
    owners: defaultdict[str, dict[UUID, str]] = defaultdict(dict)
    for row in present:
        for term in (f"/{row['slug']}", *map(folded, (row["name"], *row["aliases"]))):
            owners[term][row["id"]] = row["name"]
    taken = {}
    for change in comparison.changes:
        name = change.document["name"]
        found = owners.get(folded(name), {}) | owners.get(f"/{slugify(name)}", {})
        others = [owner for row_id, owner in found.items() if row_id != change.id]
        if others and "name" in change.changed:
            taken[change.key] = f"We have it as {others[0]}."
    return taken


def _report(listing: Listing, resolution: _Resolution, comparison: Comparison) -> ImportReport:
    names = {entry.key: entry.name for entry in listing.entries}
    rejected = resolution.rejected | comparison.refused
    taken = [key for key in names if key not in rejected and key not in comparison.deleted]
    in_file = names.keys() | {finding.key for finding in listing.rejected}
    return ImportReport(
        source=listing.source,
        new=[Finding.of(change.key, names[change.key]) for change in comparison.added],
        changed=[Finding.of(change.key, names[change.key], *sorted(change.changed)) for change in comparison.updated],
        equal=[Finding.of(key, names[key]) for key in comparison.unchanged if key not in rejected],
        edited=[Finding.of(key, names[key], *fields) for key, fields in comparison.edited.items()],
        deleted=[Finding.of(key, names[key]) for key in comparison.deleted],
        rejected=[*listing.rejected, *(Finding.of(key, names[key], reason) for key, reason in rejected.items())],
        notes=[Finding.of(key, names[key], *resolution.notes[key]) for key in taken if resolution.notes[key]],
        absent=sum(key not in in_file for key in comparison.absent),
    )
