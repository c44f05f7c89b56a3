"""The list of free-exercise-db: one array of objects, as in its ``dist/exercises.json``."""

import re
from collections.abc import Mapping
from typing import Any, Final

from app.domain.catalogue.formats.entries import Entry, Fields, Unusable, instructions
from app.domain.catalogue.formats.words import CATEGORIES, FORCES, LEVELS, MECHANICS
from app.http.fields import Name3

__all__ = ("AUTHOR", "LICENCE", "read_entry")

AUTHOR: Final = "free-exercise-db"
LICENCE: Final = "Unlicense"
"""A dedication to the public domain."""

_LONGEST_PICTURE: Final = 512
_PICTURE: Final = re.compile(r"(?:/[a-z0-9_-]+){2,}\.(?:jpg|jpeg|png|webp)")


def read_entry(raw: Mapping[str, Any]) -> Entry:
    """Read an object of the array.

    Raises:
        Unusable: something is missing that an exercise needs.
    """
    fields = Fields(raw)
    key, name = fields.line("id"), fields.line("name", Name3)
    muscles = fields.texts("primaryMuscles")
    if not muscles:
        raise Unusable("primaryMuscles: an exercise trains at least one muscle.")
    start, end, *_ = (*map(_picture, fields.texts("images")), None, None)
    return Entry(
        key=key,
        name=name,
        aliases=fields.aliases(fields.texts("alternateNames"), name),
        force=fields.optional_meaning("force", FORCES),
        mechanic=fields.optional_meaning("mechanic", MECHANICS),
        difficulty_level=fields.meaning("level", LEVELS),
        category=fields.meaning("category", CATEGORIES),
        equipment=tuple(fields.texts("equipment")),
        primary_muscles=tuple(muscles),
        secondary_muscles=tuple(fields.texts("secondaryMuscles")),
        image_path_start=start,
        image_path_end=end,
        instructions=instructions(fields.texts("instructions")),
        licence=LICENCE,
        author=AUTHOR,
        notes=tuple(fields.notes),
    )


def _picture(path: str) -> str | None:
    """A path as ours are; theirs mostly have capitals, and name files that nobody here serves."""
    rooted = f"/{path.lstrip('/')}"
    return rooted if len(rooted) <= _LONGEST_PICTURE and _PICTURE.fullmatch(rooted) else None
