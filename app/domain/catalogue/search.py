"""Which exercises a list has, in which order: filters, and a search that forgives typing errors."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.domain.catalogue import models
from app.domain.catalogue.dto import ExerciseFilters, ExerciseScope, ExerciseSort
from app.domain.catalogue.links import LINKS, joined
from app.domain.catalogue.names import fold

__all__ = ("FOLDED", "Hits", "Parameters", "hits")

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_SQUEEZED: Final = str.maketrans("", "", " ()./&")
FOLDED: Final = (
    "translate(regexp_replace(lower(normalize({0}, NFKD)), '[\u0300-\u036f]', '', 'g'), "
    "'-''\N{RIGHT SINGLE QUOTATION MARK}', ' ')"
)
"""What `fold` does, in SQL."""

_SEARCH: Final = f"""
CROSS JOIN LATERAL (
    SELECT max(CASE
        WHEN rtrim(compact, 's') = {{compact}} THEN 4
        WHEN starts_with(name, {{query}}) THEN 3
        WHEN NOT EXISTS (SELECT FROM string_to_table({{words}}, ' ') AS word WHERE strpos(name, word) = 0) THEN 2
        WHEN alike >= 0.3 OR word_similarity({{query}}, name) >= 0.6 THEN 1
    END + alike) AS score
    FROM (
        SELECT name, compact,
            greatest(similarity(name, {{query}}), similarity(compact, {{compact}})) AS alike
        FROM (
            SELECT {FOLDED.format("e.name")}
            UNION ALL
            SELECT {FOLDED.format("a.alias")} FROM exercise_aliases a WHERE a.exercise_id = e.id
        ) names (name), translate(name, ' ()./&', '') AS compact
        OFFSET 0
    ) compared
) best
"""
"""Exact names first, then beginnings, then names that have all the words, then similar ones.

OFFSET 0 keeps the planner from computing a name's likeness anew wherever it is mentioned: a third of the time.
"""

_LEVELS: Final = f"ARRAY{[level.value for level in models.DifficultyLevel]}::varchar[]"

_SORT_KEYS: Final[Mapping[ExerciseSort, str]] = {
    ExerciseSort.NAME: FOLDED.format("e.name"),
    ExerciseSort.CREATED_AT: "e.created_at",
    ExerciseSort.DIFFICULTY_LEVEL: f"array_position({_LEVELS}, e.difficulty_level)",
}


class Parameters(list[object]):
    """The parameters of a statement that is put together."""

    def add(self, value: object) -> str:
        """Add a parameter; what stands for it in the statement."""
        self.append(value)
        return f"${len(self)}"

    def add_list(self, values: Iterable[object]) -> str:
        """Add a list as one text: asyncpg asks about array types on each new connection."""
        return self.add(joined(values))


class Hits(Struct, frozen=True):
    """What a list has.

    Attributes:
        statement: gives the rows (id, key), where key is what they are sorted by.
        descending: whether the greatest key comes first.
    """

    statement: str
    descending: bool


def hits(filters: ExerciseFilters, user_id: UUID, parameters: Parameters) -> Hits:
    """The exercises of the system and of a user that these filters let through.

    Args:
        parameters: of the statement that the result becomes part of; those of the filters are added.
    """
    conditions = list(_conditions(filters, user_id, parameters))
    key, search, descending = _SORT_KEYS[filters.order_by or ExerciseSort.NAME], "", filters.descending
    if filters.search.strip():
        search = _search(filters.search, parameters)
        conditions.append("best.score IS NOT NULL")
        if filters.order_by is None:
            key, descending = "best.score", True
    return Hits(f"SELECT e.id, {key} AS key FROM exercises e {search} WHERE {' AND '.join(conditions)}", descending)


def _conditions(filters: ExerciseFilters, user_id: UUID, parameters: Parameters) -> Iterator[str]:
    if filters.scope is ExerciseScope.SYSTEM:
        yield "e.is_system_default AND e.is_active"
    else:
        mine = f"e.created_by = {parameters.add(user_id)}::uuid"
        yield mine if filters.scope is ExerciseScope.USER else f"(e.is_system_default OR {mine})"
        yield f"(e.is_active OR {mine})" if filters.include_inactive else "e.is_active"
    for name, link in LINKS.items():
        if ids := getattr(filters, name):
            yield (
                f"EXISTS (SELECT FROM {link.table} l WHERE l.exercise_id = e.id "
                f"AND l.{link.column} = ANY (string_to_array({parameters.add_list(ids)}, ',')::smallint[]))"
            )
    for column in ("category", "difficulty_level", "force", "mechanic"):
        if values := getattr(filters, column):
            yield f"e.{column} = ANY (string_to_array({parameters.add_list(values)}, ','))"


def _search(wanted: str, parameters: Parameters) -> str:
    query = fold(wanted) or wanted.strip()
    compact = query.translate(_SQUEEZED).rstrip("s") or query
    words = " ".join(word.rstrip("s") or word for word in query.split())
    return _SEARCH.format(query=parameters.add(query), compact=parameters.add(compact), words=parameters.add(words))
