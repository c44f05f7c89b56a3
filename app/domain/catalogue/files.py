"""The catalogue as files: a folder of TOML that a person can read, review and extend."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from app.domain.catalogue.links import LINKS
from app.domain.catalogue.models import Category, DifficultyLevel, ExerciseMode, Force, Mechanic
from app.errors import IronTrackError

__all__ = (
    "SHIPPED",
    "Catalogue",
    "CatalogueExercise",
    "CatalogueFileError",
    "ReferenceLists",
    "digest",
    "exercise_files",
    "load_catalogue",
)

SHIPPED: Final = Path(__file__).parent / "data"
"""The folder of our own catalogue."""


_Text = Annotated[str, Meta(min_length=1, max_length=100)]


class ReferenceLists(Struct, frozen=True, forbid_unknown_fields=True):
    """The names in the lists that exercises refer to."""

    muscle_groups: tuple[_Text, ...]
    equipment: tuple[_Text, ...]
    exercise_tags: tuple[_Text, ...]


class CatalogueExercise(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """An entry of the files, under its key.

    Attributes:
        instructions: one sentence a line.
        archived: no longer in lists and search.
        source: where an imported one comes from; external_id is its key there.
    """

    name: _Text
    aliases: tuple[_Text, ...] = ()
    force: Force | None = None
    mechanic: Mechanic | None = None
    difficulty_level: DifficultyLevel
    default_mode: ExerciseMode
    equipment: tuple[_Text, ...] = ()
    primary_muscles: Annotated[tuple[_Text, ...], Meta(min_length=1)]
    secondary_muscles: tuple[_Text, ...] = ()
    tags: tuple[_Text, ...] = ()
    image_path_start: str | None = None
    image_path_end: str | None = None
    archived: bool = False
    source: str | None = None
    external_id: str | None = None
    licence: str | None = None
    author: str | None = None
    instructions: str = ""


class CatalogueFileError(IronTrackError):
    """A file of the catalogue is not what it should be, or can't be read or written; the message names it."""


class Catalogue(Struct, frozen=True):
    """All files of a folder.

    Attributes:
        exercises: by category, then by key.
    """

    lists: ReferenceLists
    exercises: dict[Category, dict[str, CatalogueExercise]]


class _File(Struct, forbid_unknown_fields=True):
    category: Category
    exercises: dict[str, CatalogueExercise]


def digest(folder: Path = SHIPPED) -> str:
    """What tells these files from all others."""
    content = hashlib.sha256()
    for path in (folder / "reference.toml", *exercise_files(folder)):
        content.update(path.read_bytes())
    return content.hexdigest()


def load_catalogue(folder: Path = SHIPPED) -> Catalogue:
    """Read the files of a folder.

    Raises:
        CatalogueFileError: a file can't be read, or is not what it should be.
    """
    lists: ReferenceLists = _converted(folder / "reference.toml", _read(folder / "reference.toml"), ReferenceLists)
    exercises: dict[Category, dict[str, CatalogueExercise]] = {}
    keys: set[str] = set()
    for path in exercise_files(folder):
        content = _read(path)
        file = _converted(path, {"category": content.pop("category", None), "exercises": content}, _File)
        for key, exercise in file.exercises.items():
            if wrong := "is in another file too" if key in keys else _wrong(exercise, lists):
                raise CatalogueFileError(f"{path.name}: {key} {wrong}.")
        keys |= file.exercises.keys()
        exercises.setdefault(file.category, {}).update(
            {key: _trimmed(exercise) for key, exercise in file.exercises.items()}
        )
    return Catalogue(lists, exercises)


def exercise_files(folder: Path) -> list[Path]:
    """The files of a folder that hold exercises."""
    return sorted(folder.glob("exercises/*.toml"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CatalogueFileError(f"{path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueFileError(f"{path.name}: {error}.") from None


def _converted(path: Path, content: dict[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise CatalogueFileError(f"{path.name}: {error}.") from None


def _wrong(exercise: CatalogueExercise, lists: ReferenceLists) -> str | None:
    """What makes an entry unusable, if anything does."""
    for field, link in LINKS.items():
        if unknown := set(getattr(exercise, field)) - set(getattr(lists, link.entries.table)):
            return f"names {', '.join(sorted(unknown))}, which reference.toml does not have"
    if both := set(exercise.primary_muscles) & set(exercise.secondary_muscles):
        return f"has {', '.join(sorted(both))} both as primary and as secondary muscle"
    if any(name != " ".join(name.split()) for name in (exercise.name, *exercise.aliases)):
        return "has a name with odd white space"
    return None


def _trimmed(exercise: CatalogueExercise) -> CatalogueExercise:
    return msgspec.structs.replace(exercise, instructions=exercise.instructions.strip("\n"))
