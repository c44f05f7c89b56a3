"""The system's exercises in a database, as the files have them, and the writing of such files."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Final

import msgspec
import tomlkit
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from tomlkit.items import Table

from app.domain.catalogue.files import Catalogue, CatalogueExercise, CatalogueFileError, ReferenceLists, exercise_files
from app.domain.catalogue.links import LINKS
from app.domain.catalogue.models import Category
from app.domain.catalogue.seed import AUTHOR, LICENCE, SOURCE

__all__ = ("export_catalogue", "write_catalogue")

# ruff: noqa: S608 (statements are put together from constants alone; values are parameters)

_ABOUT_LISTS: Final = (
    "The three closed lists that exercises refer to. Names are lower-case and unique within their list."
)
_WORD: Final = re.compile(r"\w+")
_OPENING: Final = 'instructions = """'

_NAMES: Final = {
    field: (
        f"ARRAY(SELECT r.name FROM {link.table} l JOIN {link.entries.table} r ON r.id = l.{link.column} "
        "WHERE l.exercise_id = e.id ORDER BY r.id)"
    )
    for field, link in LINKS.items()
}

_EXERCISES: Final = text(f"""
    SELECT CASE WHEN e.source = :source THEN e.external_id ELSE e.slug END AS key, e.category,
        jsonb_strip_nulls(jsonb_build_object(
            'name', e.name, 'force', e.force, 'mechanic', e.mechanic, 'difficulty_level', e.difficulty_level,
            'default_mode', e.default_mode, 'instructions', coalesce(e.instructions, ''),
            'image_path_start', e.image_path_start, 'image_path_end', e.image_path_end, 'archived', NOT e.is_active,
            'source', nullif(e.source, :source), 'external_id', CASE WHEN e.source <> :source THEN e.external_id END,
            'licence', nullif(e.licence, :licence), 'author', nullif(e.author, :author),
            'aliases', ARRAY(SELECT alias FROM exercise_aliases a WHERE a.exercise_id = e.id ORDER BY a.id),
            {", ".join(f"'{field}', {names}" for field, names in _NAMES.items())})) AS document
    FROM exercises e WHERE e.is_system_default ORDER BY e.source = :source DESC NULLS LAST, key
""")


async def export_catalogue(session: AsyncSession) -> Catalogue:
    """All exercises of the system, archived ones too, with the reference lists.

    What was shipped has the key that it had in the files, what was added later its slug, or one like it.
    """
    lists = {
        name: tuple((await session.scalars(text(f"SELECT name FROM {name} ORDER BY id"))).all())
        for name in ReferenceLists.__struct_fields__
    }
    origin = {"source": SOURCE, "licence": LICENCE, "author": AUTHOR}
    exercises: dict[Category, dict[str, CatalogueExercise]] = {}
    keys: set[str] = set()
    for wanted, category, document in await session.execute(_EXERCISES, origin):
        key = next(key for key in chain([wanted], (f"{wanted}-{n}" for n in count(2))) if key not in keys)
        keys.add(key)
        exercises.setdefault(Category(category), {})[key] = msgspec.convert(document, CatalogueExercise)
    return Catalogue(ReferenceLists(**lists), exercises)


def write_catalogue(folder: Path, catalogue: Catalogue) -> int:
    """Write the files of a folder, and delete those of exercises that it no longer has; how many there are now.

    The same catalogue gives the same bytes: exercises by key, references in the order of their list.

    Raises:
        CatalogueFileError: a file can't be written.
    """
    texts = {folder / "exercises" / f"{name}.toml": text for name, text in _exercise_texts(catalogue)}
    try:
        (folder / "exercises").mkdir(parents=True, exist_ok=True)
        (folder / "reference.toml").write_text(_lists_text(catalogue.lists), "utf-8")
        for path, text in texts.items():
            path.write_text(text, "utf-8")
        for path in set(exercise_files(folder)) - texts.keys():
            path.unlink()
    except OSError as error:
        raise CatalogueFileError(f"{error.filename}: {error.strerror}.") from None
    return len(texts)


def _lists_text(lists: ReferenceLists) -> str:
    document = tomlkit.document()
    document.add(tomlkit.comment(_ABOUT_LISTS))
    for name, entries in msgspec.structs.asdict(lists).items():
        document.add(tomlkit.nl())
        document.add(name, tomlkit.array().multiline(multiline=True))
        document[name].extend(entries)
    return tomlkit.dumps(document)


def _exercise_texts(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """The name of each file, without its ending, and what is in it."""
    files: dict[str, tuple[Category, dict[str, CatalogueExercise]]] = {}
    for category, exercises in catalogue.exercises.items():
        for key, exercise in exercises.items():
            ordered = _ordered(exercise, catalogue.lists)
            files.setdefault(_file_name(category, ordered), (category, {}))[1][key] = ordered
    for name, (category, entries) in files.items():
        document = tomlkit.document()
        document.add("category", tomlkit.item(category.value))
        for key in sorted(entries):
            document.add(tomlkit.nl())
            document.add(key, _table(entries[key]))
        # A line end right after the quotes is no part of the text, and lets it begin where the other lines do.
        yield name, tomlkit.dumps(document).replace(_OPENING, f"{_OPENING}\n")


def _file_name(category: Category, exercise: CatalogueExercise) -> str:
    """Strength is most of the catalogue, so it is divided by the first primary muscle."""
    parts = [category.value, exercise.primary_muscles[0]] if category is Category.STRENGTH else [category.value]
    return "-".join(_WORD.findall(" ".join(parts)))


def _ordered(exercise: CatalogueExercise, lists: ReferenceLists) -> CatalogueExercise:
    return msgspec.structs.replace(
        exercise,
        **{
            field: _in_order(getattr(exercise, field), getattr(lists, link.entries.table))
            for field, link in LINKS.items()
        },
    )


def _in_order(names: Iterable[str], listed: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=listed.index))


def _table(exercise: CatalogueExercise) -> Table:
    table = tomlkit.table()
    # Empty lists are said, absent values are not: TOML has no null.
    for field, value in msgspec.structs.asdict(exercise).items():
        if field == "instructions":
            table.add(field, tomlkit.string(f"{value}\n", multiline=True))
        elif isinstance(value, tuple):
            table.add(field, list(value))
        elif value is not None and value is not False:
            table.add(field, getattr(value, "value", value))
    return table
