"""The catalogue on the wire."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Self
from uuid import UUID

from litestar.openapi.spec import OpenAPIType, Schema
from msgspec import UNSET, Meta, Struct, UnsetType

from app.domain.catalogue.models import Category, DifficultyLevel, ExerciseMode, Force, Mechanic
from app.errors import RuleBroken
from app.http.dto import Input
from app.http.fields import FieldError, LongText, Name, Name3, Scalar

__all__ = (
    "MAX_ENTRY_ID",
    "CustomExerciseChange",
    "Entry",
    "EntryChange",
    "EntryId",
    "EntrySort",
    "Exercise",
    "ExerciseFilters",
    "ExerciseScope",
    "ExerciseSort",
    "ExerciseSummary",
    "Fields",
    "Instructions",
    "MergeTarget",
    "NewCustomExercise",
    "NewEntry",
    "NewSystemExercise",
    "SystemExerciseChange",
    "check_muscles",
)

MAX_ENTRY_ID = 32767
"""The greatest id that a row of a reference list can have."""


class EntryId(int, Scalar):
    """The id of a row of a reference list. Also read from ``{id, name}``, as our own answers have it."""

    schema = Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=MAX_ENTRY_ID)

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read and check the bounds."""
        if isinstance(value, dict) and value.keys() == {"id", "name"}:
            value = value["id"]
        if not isinstance(value, int) or isinstance(value, bool):
            raise FieldError("type", "Expected a whole number.")
        if not 1 <= value <= MAX_ENTRY_ID:
            raise FieldError("range", f"Expected 1 to {MAX_ENTRY_ID}.")
        return cls(value)


class Instructions(LongText):
    """A text that is not empty."""

    schema = Schema(type=OpenAPIType.STRING, min_length=1, max_length=LongText.longest)

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Normalise and measure."""
        text = super().from_wire(value)
        if not text.strip():
            raise FieldError("length", f"Expected 1 to {cls.longest:,} characters.")
        return text


EntryIds = Annotated[list[EntryId], Meta(max_length=100)]
SomeEntryIds = Annotated[list[EntryId], Meta(min_length=1, max_length=100)]
Aliases = Annotated[list[Name], Meta(max_length=50)]
ImagePath = Annotated[str, Meta(max_length=2048, description="`/folder/file.jpg`, with or without the CDN's prefix.")]


class Entry(Struct, frozen=True):
    """A row of a reference list."""

    id: int
    name: str


class EntryName(Name3):
    """A name of 3 to 100 characters, kept in lower case."""

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Lower, fold, check and measure: some letters are longer in lower case."""
        return super().from_wire(value.lower() if isinstance(value, str) else value)


class NewEntry(Input):
    """A row to add to a reference list."""

    name: EntryName


class EntryChange(Input):
    """A change of a row of a reference list."""

    read_only: ClassVar[frozenset[str]] = frozenset({"id"})

    name: EntryName | UnsetType = UNSET


class Exercise(Struct, rename="camel", kw_only=True):
    """An exercise, of the system or of a user.

    Attributes:
        slug: of system exercises.
        is_active: false when archived: out of lists and search, still there by id.
        created_by: the owner of a custom exercise; null for system ones.
    """

    id: UUID
    name: str
    slug: str | None
    aliases: list[str]
    force: Force | None
    difficulty_level: DifficultyLevel
    mechanic: Mechanic | None
    category: Category
    default_mode: ExerciseMode
    instructions: str | None
    image_path_start: str | None
    image_path_end: str | None
    primary_muscles: list[Entry]
    secondary_muscles: list[Entry]
    equipment: list[Entry]
    tags: list[Entry]
    is_active: bool
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class ExerciseSummary(Struct, rename="camel", kw_only=True):
    """What a list shows of an exercise."""

    id: UUID
    name: str
    slug: str | None
    force: Force | None
    difficulty_level: DifficultyLevel
    mechanic: Mechanic | None
    category: Category
    default_mode: ExerciseMode
    image_path_start: str | None
    primary_muscles: list[Entry]
    secondary_muscles: list[Entry]
    equipment: list[Entry]
    tags: list[Entry]
    is_active: bool
    created_by: UUID | None


def check_muscles(primary: Iterable[int], secondary: Iterable[int]) -> None:
    """The rule across the two lists of muscles.

    Raises:
        RuleBroken: a muscle is in both.
    """
    if set(primary) & set(secondary):
        raise RuleBroken.of("secondaryMuscles", "A muscle is either primary or secondary, not both.")


class NewCustomExercise(Input):
    """An exercise that a user adds for themselves."""

    name: Name3
    primary_muscles: SomeEntryIds
    difficulty_level: DifficultyLevel
    category: Category
    secondary_muscles: EntryIds | None = None
    equipment: EntryIds | None = None
    force: Force | None = None
    mechanic: Mechanic | None = None
    default_mode: ExerciseMode | None = None
    instructions: LongText | None = None

    def __post_init__(self) -> None:
        check_muscles(self.primary_muscles, self.secondary_muscles or [])


class NewSystemExercise(Input):
    """An exercise of the catalogue that everybody sees."""

    name: Name3
    primary_muscles: SomeEntryIds
    difficulty_level: DifficultyLevel
    category: Category
    tags: SomeEntryIds
    instructions: Instructions
    secondary_muscles: EntryIds | None = None
    equipment: EntryIds | None = None
    force: Force | None = None
    mechanic: Mechanic | None = None
    default_mode: ExerciseMode | None = None
    image_path_start: ImagePath | None = None
    image_path_end: ImagePath | None = None
    aliases: Aliases | None = None

    def __post_init__(self) -> None:
        check_muscles(self.primary_muscles, self.secondary_muscles or [])


class CustomExerciseChange(Input):
    """A change of one's own exercise."""

    read_only: ClassVar[frozenset[str]] = frozenset(
        {
            "id",
            "slug",
            "aliases",
            "tags",
            "imagePathStart",
            "imagePathEnd",
            "isActive",
            "createdBy",
            "createdAt",
            "updatedAt",
        }
    )

    name: Name3 | UnsetType = UNSET
    primary_muscles: SomeEntryIds | UnsetType = UNSET
    difficulty_level: DifficultyLevel | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    secondary_muscles: EntryIds | UnsetType | None = UNSET
    equipment: EntryIds | UnsetType | None = UNSET
    force: Force | UnsetType | None = UNSET
    mechanic: Mechanic | UnsetType | None = UNSET
    default_mode: ExerciseMode | UnsetType = UNSET
    instructions: LongText | UnsetType | None = UNSET


class SystemExerciseChange(Input):
    """A change of an exercise of the catalogue."""

    read_only: ClassVar[frozenset[str]] = frozenset({"id", "slug", "isActive", "createdBy", "createdAt", "updatedAt"})

    name: Name3 | UnsetType = UNSET
    primary_muscles: SomeEntryIds | UnsetType = UNSET
    difficulty_level: DifficultyLevel | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    tags: SomeEntryIds | UnsetType = UNSET
    instructions: Instructions | UnsetType = UNSET
    secondary_muscles: EntryIds | UnsetType | None = UNSET
    equipment: EntryIds | UnsetType | None = UNSET
    force: Force | UnsetType | None = UNSET
    mechanic: Mechanic | UnsetType | None = UNSET
    default_mode: ExerciseMode | UnsetType = UNSET
    image_path_start: ImagePath | UnsetType | None = UNSET
    image_path_end: ImagePath | UnsetType | None = UNSET
    aliases: Aliases | UnsetType | None = UNSET


class MergeTarget(Input):
    """The exercise that takes the place of a merged one."""

    into_id: UUID


class ExerciseScope(StrEnum):
    """Whose exercises a list has."""

    SYSTEM = "system"
    USER = "user"
    ALL = "all"


class ExerciseSort(StrEnum):
    """What a list of exercises may be sorted by."""

    NAME = "name"
    CREATED_AT = "createdAt"
    DIFFICULTY_LEVEL = "difficultyLevel"


class Fields(StrEnum):
    """How much a list says of each of its items."""

    FULL = "full"


class EntrySort(StrEnum):
    """What a reference list may be sorted by."""

    ID = "id"
    NAME = "name"


class ExerciseFilters(Struct, frozen=True, kw_only=True):
    """Which exercises a list has; values of one filter are alternatives.

    Attributes:
        include_inactive: also the caller's archived ones.
        order_by: None: best match first when something is searched, else by name.
    """

    scope: ExerciseScope = ExerciseScope.ALL
    primary_muscles: list[int] | None = None
    secondary_muscles: list[int] | None = None
    equipment: list[int] | None = None
    tags: list[int] | None = None
    category: list[Category] | None = None
    difficulty_level: list[DifficultyLevel] | None = None
    force: list[Force] | None = None
    mechanic: list[Mechanic] | None = None
    include_inactive: bool = False
    search: str = ""
    order_by: ExerciseSort | None = None
    descending: bool = False
