"""The catalogue as files: a folder of TOML that a person can read, review and extend."""

import hashlib
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import tomlkit
from msgspec import Meta, Struct
from tomlkit.items import Table

from app.domain.catalogue.links import LINKS
from app.domain.catalogue.models import Category, DifficultyLevel, ExerciseMode, Force, Mechanic

__all__ = ("SHIPPED", "Catalogue", "CatalogueExercise", "ReferenceLists", "digest", "load_catalogue", "write_catalogue")

SHIPPED: Final = Path(__file__).parent / "data"
"""The folder of our own catalogue."""

_ABOUT_LISTS: Final = (
    "The three closed lists that exercises refer to. Names are lower-case and unique within their list."
)

_OPENING: Final = 'instructions = """'

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
    primary_muscles: tuple[_Text, ...]
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
    for path in (folder / "reference.toml", *_exercise_files(folder)):
        content.update(path.read_bytes())
    return content.hexdigest()


def load_catalogue(folder: Path = SHIPPED) -> Catalogue:
    """Read the files of a folder.

    Raises:
        ValueError: a file is not what it should be; the message names it.
        OSError: a file can't be read.
    """
    lists = _converted(folder / "reference.toml", _read(folder / "reference.toml"), ReferenceLists)
    exercises: dict[Category, dict[str, CatalogueExercise]] = {}
    keys: set[str] = set()
    for path in _exercise_files(folder):
        content = _read(path)
        file = _converted(path, {"category": content.pop("category", None), "exercises": content}, _File)
        if twice := keys & file.exercises.keys():
            raise ValueError(f"{path.name}: {', '.join(sorted(twice))} is in another file too.")
        keys |= file.exercises.keys()
        exercises.setdefault(file.category, {}).update(
            {key: _trimmed(exercise) for key, exercise in file.exercises.items()}
        )
    return Catalogue(lists, exercises)


def write_catalogue(folder: Path, catalogue: Catalogue) -> int:
    """Write the files of a folder, and delete those of exercises that it no longer has; how many there are now.

    The same catalogue gives the same bytes: exercises by key, references in the order of their list.

    Raises:
        OSError: a file can't be written.
    """
    (folder / "exercises").mkdir(parents=True, exist_ok=True)
    (folder / "reference.toml").write_text(_lists_text(catalogue.lists), "utf-8")
    texts = {folder / "exercises" / f"{name}.toml": text for name, text in _exercise_texts(catalogue)}
    for path in set(_exercise_files(folder)) - texts.keys():
        path.unlink()
    for path, text in texts.items():
        path.write_text(text, "utf-8")
    return len(texts)


def _exercise_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("exercises/*.toml"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: {error}") from None


def _converted(path: Path, content: dict[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _trimmed(exercise: CatalogueExercise) -> CatalogueExercise:
    return msgspec.structs.replace(exercise, instructions=exercise.instructions.strip("\n"))


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
    return "-".join(parts).replace(" ", "-")


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
