"""The system's exercises in a database, as the files have them."""

from itertools import chain, count
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.files import Catalogue, CatalogueExercise, ReferenceLists
from app.domain.catalogue.links import LINKS
from app.domain.catalogue.models import Category
from app.domain.catalogue.seed import AUTHOR, LICENCE, SOURCE

__all__ = ("export_catalogue",)

# ruff: noqa: S608 (statements are put together from constants alone; values are parameters)

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
