"""Reading a file of exercises, whichever of the known formats it has."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

from app.domain.catalogue.formats import free_exercise_db, wger
from app.domain.catalogue.formats.entries import Entry, Fields, Finding, Listing, Unusable
from app.domain.catalogue.models import SeedKind

__all__ = ("ListingError", "read_listing", "read_listing_file")

_LARGEST: Final = 32 * 1024 * 1024
_MOST_DIGITS: Final = 18

_MARKS: Final[Mapping[SeedKind, frozenset[str]]] = {
    SeedKind.FREE_EXERCISE_DB: frozenset({"primaryMuscles", "secondaryMuscles", "level", "force", "mechanic"}),
    SeedKind.WGER: frozenset({"uuid", "translations", "exercises", "muscles", "muscles_secondary"}),
}
"""Names of fields that tell the formats apart."""


class ListingError(ValueError):
    """The file as a whole can't be understood; the message is a sentence."""


def read_listing_file(path: Path, language: str) -> Listing:
    """Read a file.

    Raises:
        ListingError: it is too large, no JSON, or of another format.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ListingError(f"It is larger than {_LARGEST // 1024**2} MiB.")
    return read_listing(content, language)


def read_listing(content: bytes, language: str) -> Listing:
    """Read what a file holds. An entry that can't be used is told, and does not concern the others.

    Args:
        content: JSON.
        language: of the texts, where a list has several.

    Raises:
        ListingError: it is no JSON, or of another format.
    """
    try:
        # Unlike msgspec it reads NaN and halves of surrogate pairs, so that only the entry with them is rejected.
        document = json.loads(content, parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        raise ListingError(f"It is no JSON: {error}.") from None
    source, raws = _recognised(document)
    read: Mapping[SeedKind, Callable[[Mapping[str, Any]], Entry]] = {
        SeedKind.FREE_EXERCISE_DB: free_exercise_db.read_entry,
        SeedKind.WGER: partial(wger.read_entry, language=language),
    }
    return _listing(source, raws, read[source])


def _whole_number(digits: str) -> float:
    """Python refuses to read numbers of thousands of digits, and no id has them."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _recognised(document: object) -> tuple[SeedKind, Iterable[object]]:
    parts = document if isinstance(document, list) else [document]
    pages = [part["results"] for part in parts if isinstance(part, Mapping) and "results" in part]
    if pages:
        if len(pages) < len(parts) or not all(isinstance(results, list) for results in pages):
            raise ListingError("Each page of wger has a list of results; here one has none.")
        return SeedKind.WGER, chain.from_iterable(pages)
    found = {kind: sum(len(_keys(part) & marks) for part in parts) for kind, marks in _MARKS.items()}
    source = max(found, key=found.__getitem__)
    if not found[source]:
        raise ListingError("Expected the exercises.json of free-exercise-db, or pages of wger's exerciseinfo.")
    return source, parts


def _keys(part: object) -> frozenset[str]:
    return frozenset(part) if isinstance(part, Mapping) else frozenset()


def _listing(source: SeedKind, raws: Iterable[object], read: Callable[[Mapping[str, Any]], Entry]) -> Listing:
    entries: dict[str, Entry] = {}
    rejected: list[Finding] = []
    for place, raw in enumerate(raws, start=1):
        try:
            entry = read(_object(raw))
        except Unusable as error:
            rejected.append(Finding.of(*_label(raw, place), str(error)))
            continue
        if entry.key in entries:
            rejected.append(Finding.of(entry.key, entry.name, "Its id is in the file twice."))
        else:
            entries[entry.key] = entry
    return Listing(source, list(entries.values()), rejected)


def _object(raw: object) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise Unusable("It is no object.")
    return raw


def _label(raw: object, place: int) -> tuple[object, object]:
    """What a rejected entry is called: by its own id and name, as far as it has them."""
    fields = raw if isinstance(raw, Mapping) else {}
    keys = (fields.get(name) for name in ("uuid", "id"))
    names = (name for field in ("name", "translations", "exercises") for name in Fields(fields).texts(field, "name"))
    return next((key for key in keys if isinstance(key, str) and key), f"#{place}"), next(names, "")
