"""What every format makes of its entries, and how their fields are read.

Nothing that a file holds raises anything but `Unusable`.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from msgspec import Struct

from app.domain.catalogue.models import Category, DifficultyLevel, ExerciseMode, Force, Mechanic, SeedKind
from app.domain.catalogue.names import fold
from app.http.fields import FieldError, Line, LongText, Name

__all__ = ("Entry", "Fields", "Finding", "Listing", "Unusable", "default_mode", "folded", "instructions")

M = TypeVar("M")

_MOST_ITEMS: Final = 200
_MOST_ALIASES: Final = 50
_SHOWN: Final = 100

# Control characters and halves of surrogate pairs, which say nothing in a text; tabs and line ends are kept.
_UNREADABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

# PostgreSQL may know a later Unicode than Python does, and take another form of these to be the normal one.
_NO_CHARACTERS: Final = frozenset({"Cs", "Cn"})


class Unusable(ValueError):
    """An entry can't become an exercise; the message says why."""


class Finding(Struct, frozen=True, omit_defaults=True):
    """An entry, and what is to be said about it.

    Attributes:
        key: its id in the file; its place there, such as ``#12``, when it has none.
        details: reasons, notes, or names of fields.
    """

    key: str
    name: str
    details: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: object, name: object, *details: str) -> "Finding":
        """The same with texts that any terminal can show."""
        return cls(_printable(key), _printable(name), tuple(map(_printable, details)))


class Entry(Struct, frozen=True, kw_only=True):
    """An exercise of a list. What it trains, and with what, is still in the words of the list.

    Attributes:
        key: its id in the list.
        instructions: one step or paragraph a line.
        notes: what was left out, and why.
    """

    key: str
    name: str
    aliases: tuple[str, ...] = ()
    force: Force | None = None
    mechanic: Mechanic | None = None
    difficulty_level: DifficultyLevel
    category: Category
    equipment: tuple[str, ...] = ()
    primary_muscles: tuple[str, ...]
    secondary_muscles: tuple[str, ...] = ()
    image_path_start: str | None = None
    image_path_end: str | None = None
    instructions: str | None = None
    licence: str | None = None
    author: str | None = None
    notes: tuple[str, ...] = ()


class Listing(Struct, frozen=True):
    """The content of a file.

    Attributes:
        source: where it comes from: what the column of this name says, and the kind of its records.
        rejected: entries that can't be used.
    """

    source: SeedKind
    entries: list[Entry]
    rejected: list[Finding]


class Fields:
    """The fields of one entry.

    Attributes:
        notes: what was left out, and why.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.notes: list[str] = []
        self._fields = fields

    def line(self, field: str, kind: type[Line] = Line) -> str:
        """A line of text.

        Raises:
            Unusable: it is missing, or breaks the rules of its kind.
        """
        try:
            return _line(self._fields.get(field), kind)
        except FieldError as error:
            raise Unusable(f"{field}: {error.message}") from None

    def meaning(self, field: str, meanings: Mapping[str, M]) -> M:
        """What the word of a field stands for.

        Raises:
            Unusable: it is missing or unknown.
        """
        value = self._fields.get(field)
        try:
            return meanings[folded(value) if isinstance(value, str) else ""]
        except KeyError:
            raise Unusable(f"{field}: {_quoted(value)} is not known.") from None

    def optional_meaning(self, field: str, meanings: Mapping[str, M]) -> M | None:
        """The same where nothing may stand; what is unknown is left out with a note."""
        if self._fields.get(field) is None:
            return None
        try:
            return self.meaning(field, meanings)
        except Unusable as error:
            self.notes.append(f"{error} Left out.")
            return None

    def texts(self, field: str, *names: str) -> list[str]:
        """The texts of a list; a single one counts as a list of one.

        Args:
            field: of the list.
            names: under which an item has its text, where items are objects; the first that it has.
        """
        value = self._fields.get(field)
        items = value if isinstance(value, list) else [] if value is None else [value]
        texts = [text for item in items[:_MOST_ITEMS] if (text := _text(item, names)) is not None]
        if len(texts) < len(items):
            self.notes.append(f"{field}: {len(items) - len(texts)} of {len(items)} can't be read and are left out.")
        return texts

    def aliases(self, values: Iterable[str], name: str) -> tuple[str, ...]:
        """Other names than the name itself, each once; those that break the rules are left out with a note."""
        aliases: dict[str, str] = {}
        for value in values:
            try:
                alias = _line(value, Name)
            except FieldError as error:
                self.notes.append(f"alias {_quoted(value)}: {error.message} Left out.")
            else:
                aliases.setdefault(folded(alias), alias)
        aliases.pop(folded(name), None)
        if len(aliases) > _MOST_ALIASES:
            self.notes.append(f"Of {len(aliases)} aliases {_MOST_ALIASES} are kept.")
        return tuple(aliases.values())[:_MOST_ALIASES]


def folded(name: str) -> str:
    """A name or word as it is compared."""
    return fold(name.replace("_", " ")).casefold()


def instructions(lines: Iterable[str]) -> str | None:
    """Lines as the instructions of an exercise; None when nothing is said.

    Raises:
        Unusable: they are too long.
    """
    cleaned = (" ".join(_UNREADABLE.sub(" ", line).split()) for line in lines)
    try:
        return str(LongText.from_wire("\n".join(line for line in cleaned if line))) or None
    except FieldError as error:
        raise Unusable(f"instructions: {error.message}") from None


def default_mode(category: Category) -> ExerciseMode:
    """What is counted in a set, where a list does not say."""
    return ExerciseMode.TIME if category in {Category.CARDIO, Category.STRETCHING} else ExerciseMode.REPS


def _line(value: object, kind: type[Line]) -> str:
    line = str(kind.from_wire(value))
    if any(unicodedata.category(character) in _NO_CHARACTERS for character in line):
        raise FieldError("pattern", "It holds what is no character.")
    return line


def _text(item: object, names: tuple[str, ...]) -> str | None:
    if isinstance(item, Mapping):
        item = next((item[name] for name in names if item.get(name)), None)
    return item if isinstance(item, str) else None


def _quoted(value: object) -> str:
    return "nothing" if value is None else f"“{value}”" if isinstance(value, str) else "what is no text"


def _printable(value: object) -> str:
    text = value if isinstance(value, str) else ""
    shown = "".join(character if character.isprintable() else " " for character in text[: _SHOWN + 1])
    return f"{shown[:_SHOWN]}…" if len(shown) > _SHOWN else shown
