"""How exercises refer to the reference lists."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

__all__ = ("EQUIPMENT", "EXERCISE_TAGS", "LINKS", "MUSCLE_GROUPS", "Link", "ReferenceList", "joined")


class ReferenceList(Struct, frozen=True):
    """One of the lists that exercises refer to.

    Attributes:
        noun: what a row of it is called in sentences.
    """

    table: str
    noun: str


MUSCLE_GROUPS: Final = ReferenceList("muscle_groups", "muscle group")
EQUIPMENT: Final = ReferenceList("equipment", "equipment")
EXERCISE_TAGS: Final = ReferenceList("exercise_tags", "exercise tag")


class Link(Struct, frozen=True):
    """How an exercise refers to a reference list.

    Attributes:
        wire: the field's name in bodies and answers.
        table: of the links.
        column: of the list's id, in the table of the links.
    """

    wire: str
    table: str
    column: str
    entries: ReferenceList


LINKS: Final[Mapping[str, Link]] = {
    "primary_muscles": Link("primaryMuscles", "exercise_primary_muscles", "muscle_group_id", MUSCLE_GROUPS),
    "secondary_muscles": Link("secondaryMuscles", "exercise_secondary_muscles", "muscle_group_id", MUSCLE_GROUPS),
    "equipment": Link("equipment", "exercise_equipment", "equipment_id", EQUIPMENT),
    "tags": Link("tags", "exercise_tag_map", "tag_id", EXERCISE_TAGS),
}
"""The fields of an exercise that hold ids of a reference list."""


def joined(values: Iterable[object]) -> str:
    """A list as one text, for a parameter: asyncpg asks about array types on each new connection."""
    return ",".join(map(str, values))
