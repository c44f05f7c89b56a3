"""The pages of wger's ``/api/v2/exerciseinfo/``, and those of its former ``exercisebaseinfo``.

Texts stand in a list ``translations``, called ``exercises`` by earlier versions; before that, an entry was itself the
text of one language. wger knows neither levels nor forces nor mechanics.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from app.domain.catalogue.formats.entries import Entry, Fields, Unusable, folded, instructions
from app.domain.catalogue.formats.markup import lines_of_html
from app.domain.catalogue.models import Category, DifficultyLevel
from app.http.fields import Line, Name, Name3

__all__ = ("LEVEL", "read_entry")

LEVEL: Final = DifficultyLevel.INTERMEDIATE
"""Of every entry: the middle neither lures a beginner nor hides anything."""

_LANGUAGES: Final = dict(
    enumerate(("de", "en", "bg", "es", "ru", "nl", "pt", "el", "cs", "sv", "no", "fr", "it"), start=1)
)
_LICENCES: Final[Mapping[object, str]] = {1: "CC-BY-SA 3", 2: "CC-BY-SA 4", 3: "CC0", 4: "CC-BY 4"}

_CATEGORIES: Final[Mapping[str, Category]] = {
    **dict.fromkeys(("abs", "arms", "back", "calves", "chest", "legs", "shoulders"), Category.STRENGTH),
    "cardio": Category.CARDIO,
}

_MUSCLE_OF_CATEGORY: Final = {"abs": "abdominals", "calves": "calves", "chest": "chest", "shoulders": "shoulders"}
"""What an entry without muscles trains; the other categories stand for several."""

_LONGEST_AUTHOR: Final = 255
_LONGEST_DESCRIPTION: Final = 20_000


def read_entry(raw: Mapping[str, Any], language: str) -> Entry:
    """Read one of the results.

    Args:
        raw: the result.
        language: of the texts: a code such as ``en``, or the number that wger has for it.

    Raises:
        Unusable: something is missing that an exercise needs, such as texts in this language.
    """
    key = _uuid(raw.get("uuid"))
    translation = _translation(raw, language)
    fields = Fields(
        {
            **raw,
            "category": next(iter(Fields(raw).texts("category", "name")), None),
            "name": translation.get("name"),
            "aliases": translation.get("aliases", raw.get("aliases")),
        }
    )
    name = fields.line("name", Name3)
    return Entry(
        key=key,
        name=name,
        aliases=fields.aliases(fields.texts("aliases", "alias"), name),
        difficulty_level=LEVEL,
        category=fields.meaning("category", _CATEGORIES),
        equipment=tuple(fields.texts("equipment", "name")),
        primary_muscles=_primary_muscles(fields),
        secondary_muscles=tuple(fields.texts("muscles_secondary", "name", "name_en")),
        instructions=_instructions(translation.get("description")),
        licence=_licence(raw, translation),
        author=_author(raw, translation),
        notes=tuple(fields.notes),
    )


def _uuid(value: object) -> str:
    try:
        return str(UUID(value if isinstance(value, str) else ""))
    except ValueError:
        raise Unusable("uuid: Expected a UUID.") from None


def _translation(raw: Mapping[str, Any], language: str) -> Mapping[str, Any]:
    lists = [raw[name] for name in ("translations", "exercises") if isinstance(raw.get(name), list)]
    candidates = [text for texts in lists for text in texts if isinstance(text, Mapping)]
    for text in candidates if lists else [raw]:
        if language.lower() in _names_of_language(text.get("language")):
            return text
    raise Unusable(f"There is no translation into the language “{language}”.")


def _names_of_language(value: object) -> set[str]:
    if isinstance(value, Mapping):
        return {str(value.get(name, "")).lower() for name in ("id", "short_name", "code")} - {""}
    if isinstance(value, int):
        return {str(value), _LANGUAGES.get(value, str(value))}
    return {value.lower()} if isinstance(value, str) else set()


def _primary_muscles(fields: Fields) -> tuple[str, ...]:
    muscles = fields.texts("muscles", "name", "name_en")
    if muscles:
        return tuple(muscles)
    category = fields.line("category")
    if muscle := _MUSCLE_OF_CATEGORY.get(folded(category)):
        fields.notes.append(f"muscles: none are named; {muscle}, after the category.")
        return (muscle,)
    raise Unusable("muscles: an exercise trains at least one muscle.")


def _instructions(description: object) -> str | None:
    if not isinstance(description, str):
        return None
    if len(description) > _LONGEST_DESCRIPTION:
        raise Unusable(f"description: Expected at most {_LONGEST_DESCRIPTION:,} characters of HTML.")
    return instructions(lines_of_html(description))


def _licence(raw: Mapping[str, Any], translation: Mapping[str, Any]) -> str | None:
    """The licence of the text, else of the entry."""
    of_entry = raw.get("license")
    known: dict[object, Any] = {**_LICENCES}
    if isinstance(of_entry, Mapping) and isinstance(of_entry.get("id"), int):
        known[of_entry["id"]] = of_entry.get("short_name")
    for value in (translation.get("license"), of_entry):
        name = _name_of_licence(value, known)
        if isinstance(name, str) and name.strip():
            return Fields({"license": name}).line("license", Name)
    return None


def _name_of_licence(value: object, known: Mapping[object, Any]) -> object:
    """The name of an object, or of the number of one."""
    if isinstance(value, Mapping):
        return value.get("short_name") or value.get("full_name")
    return known.get(value) or f"wger licence {value}" if isinstance(value, int) else value


def _author(raw: Mapping[str, Any], translation: Mapping[str, Any]) -> str | None:
    """The author of the text, else of the entry."""
    for value in (translation.get("license_author"), raw.get("license_author")):
        if isinstance(value, str) and value.strip():
            return Fields({"license_author": value[:_LONGEST_AUTHOR]}).line("license_author", Line)
    return None
