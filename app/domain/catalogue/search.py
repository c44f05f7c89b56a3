"""Which exercises a list has, in which order: filters, and a search that forgives typing errors."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.domain.catalogue import models
from app.domain.catalogue.dto import ExerciseFilters, ExerciseScope, ExerciseSort
from app.domain.catalogue.links import LINKS, joined
from app.domain.catalogue.names import once, search_words
from app.domain.catalogue.spelling import SearchedWord, searched_words

__all__ = ("Hits", "Parameters", "hits")

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_MOST_WORDS: Final = 10
"""Further words of a search are not looked at; no name has so many."""

_LEVELS: Final = f"ARRAY{[level.value for level in models.DifficultyLevel]}::varchar[]"

_SORT_KEYS: Final[Mapping[ExerciseSort, str]] = {
    ExerciseSort.NAME: "e.folded_name",
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
    words = search_words(filters.search)[:_MOST_WORDS]
    if filters.search.strip() and not words:
        return Hits("SELECT NULL::uuid AS id, 0 AS key WHERE false", descending=False)
    whose = _whose(filters, user_id, parameters)
    conditions = list(_conditions(filters, parameters))
    key = _SORT_KEYS[filters.order_by or ExerciseSort.NAME]
    if not words:
        parts = (f"SELECT e.id, {key} AS key FROM exercises e WHERE {_all([part, *conditions])}" for part in whose)
        return Hits(" UNION ALL ".join(parts), filters.descending)
    best_first = filters.order_by is None
    search = _TextSearch(words, parameters).statement(whose)
    found = f"found JOIN exercises e ON e.id = found.id WHERE {_all(['true', *conditions])}"
    return Hits(
        f"{search} SELECT e.id, {'found.score' if best_first else key} AS key FROM {found}",
        descending=best_first or filters.descending,
    )


def _whose(filters: ExerciseFilters, user_id: UUID, parameters: Parameters) -> list[str]:
    """Conditions for the system's and for the user's own, apart: so both are found through an index of theirs."""
    parts = []
    if filters.scope is not ExerciseScope.USER:
        parts.append("e.is_system_default AND e.is_active")
    if filters.scope is not ExerciseScope.SYSTEM:
        mine = f"e.created_by = {parameters.add(user_id)}::uuid"
        parts.append(mine if filters.include_inactive else f"{mine} AND e.is_active")
    return parts


def _all(conditions: Iterable[str]) -> str:
    return " AND ".join(conditions)


def _conditions(filters: ExerciseFilters, parameters: Parameters) -> Iterator[str]:
    for name, link in LINKS.items():
        if ids := getattr(filters, name):
            yield (
                f"EXISTS (SELECT FROM {link.table} l WHERE l.exercise_id = e.id "
                f"AND l.{link.column} = ANY (string_to_array({parameters.add_list(ids)}, ',')::smallint[]))"
            )
    for column in ("category", "difficulty_level", "force", "mechanic"):
        if values := getattr(filters, column):
            yield f"e.{column} = ANY (string_to_array({parameters.add_list(values)}, ','))"


class _TextSearch:
    """What a text searches, as parts of a statement.

    Found is what has all the words, in its name or its aliases. Only when there is nothing, what has them but for one
    typing error in each; and only when there is nothing of that either, what several words are like as a whole.
    """

    def __init__(self, words: list[str], parameters: Parameters) -> None:
        self._parameters = parameters
        self._phrase = once(" ".join(words))
        self._together = SearchedWord("".join(words))
        # The longest word is the rarest, and looked up in the index.
        self._words = sorted(searched_words(words), key=lambda word: -len(word.typed))

    def statement(self, whose: list[str]) -> str:
        """A WITH clause; its last table is found (id, score)."""
        literal = [self._patterns(word.literal) for word in self._words]
        mistyped = [self._patterns([*word.literal, *word.mistyped]) for word in self._words]
        several = "true" if len(self._words) > 1 else "false"
        plain = f"(SELECT {self._parameters.add(self._phrase)}::text)"
        none_literal, none_mistyped = (f"NOT EXISTS (SELECT FROM {table})" for table in ("literal", "mistyped"))
        return f"""
WITH literal AS MATERIALIZED (
    {_union(whose, *_indexed(literal))}
), mistyped AS MATERIALIZED (
    {_union(whose, none_literal, *_indexed(mistyped))}
), alike AS MATERIALIZED (
    {_union(whose, several, none_literal, none_mistyped, f"e.search_text %> {plain}")}
), candidates AS (
    SELECT *, 0 AS likeness FROM literal
    UNION ALL
    SELECT *, word_similarity({plain}, search_text) FROM mistyped
    UNION ALL
    SELECT *, word_similarity({plain}, search_text) FROM alike
), found AS (
    SELECT e.id, e.likeness + {self._fit(literal, mistyped)} + {_PRIOR} AS score FROM candidates e
)
"""

    def _fit(self, literal: list[str], mistyped: list[str]) -> str:
        """How well that of the names fits which fits best; 0 when it takes several of them to have all the words."""
        known = [
            f"(SELECT CASE WHEN EXISTS (SELECT FROM literal) THEN {right} ELSE {wrong} END)::text[]"
            for right, wrong in zip(literal, mistyped, strict=True)
        ]
        # All words of a name as one are its last.
        exact = self._patterns(form.removesuffix("%") for form in self._together.whole)
        begins = self._patterns([f" {self._phrase}%", f" {once(self._together.typed)}%"])
        whole = " + ".join(f"(n.name LIKE ANY ({self._patterns(word.whole)}))::int" for word in self._words)
        length = self._parameters.add(float(len(self._phrase)))
        return _FIT.format(
            exact=exact,
            begins=begins,
            whole=f"({whole}) / {len(self._words)}.0",
            length=length,
            words=_all(f"n.name LIKE ANY ({some})" for some in known),
        )

    def _patterns(self, patterns: Iterable[str]) -> str:
        """Patterns as an array; in a subquery, because otherwise the planner estimates each of them, for 5 ms."""
        return f"(SELECT string_to_array({self._parameters.add_list(dict.fromkeys(patterns))}, ','))::text[]"


_FIT: Final = """
    coalesce((
        SELECT max(
            3 * (n.name LIKE ANY ({exact}))::int
            + 0.2 * (n.name LIKE ANY ({begins}))::int
            + 0.3 * {whole}
            + least(1, 2 * {length}::float8 / length(n.name))
            - 0.1 * (n.number > 1)::int)
        FROM string_to_table(trim(e.search_text, '|'), '|') WITH ORDINALITY AS n (name, number)
        WHERE {words}), 0)
"""
"""An exact name before all others; then names that begin so, whole words, little else in the name, and no alias.

A name is in the text twice, as words and as one, so its length counts half.
"""

_PRIOR: Final = """
    0.3 * EXISTS (
        SELECT FROM exercise_tag_map m
        WHERE m.exercise_id = e.id AND m.tag_id = (SELECT id FROM exercise_tags WHERE name = 'main lift'))::int
    + 0.3 * (e.created_by IS NOT NULL)::int
    + 0.1 * EXISTS (
        SELECT FROM exercise_equipment q
        WHERE q.exercise_id = e.id AND q.equipment_id = ANY (ARRAY(
            SELECT id FROM equipment WHERE name IN ('barbell', 'dumbbell', 'body only'))))::int
    + 0.04 * least(5, length(e.search_text) - length(replace(e.search_text, '|', '')) - 2)
    + 0.03 * CASE e.difficulty_level WHEN 'beginner' THEN 1 WHEN 'expert' THEN -1 ELSE 0 END
"""
"""What is meant sooner when names fit equally: main lifts, one's own, what every gym has the equipment for, what has
many names, and what is easier. All of it together is less than what an exact name is worth."""


def _union(whose: list[str], *conditions: str) -> str:
    columns = "e.id, e.search_text, e.difficulty_level, e.created_by"
    return " UNION ALL ".join(f"SELECT {columns} FROM exercises e WHERE {_all([part, *conditions])}" for part in whose)


def _indexed(words: list[str]) -> list[str]:
    """Conditions of which the first one may use the index: with several the planner reads the table."""
    first, *others = words
    return [f"e.search_text LIKE ANY ({first})", *(f"e.search_text || '' LIKE ANY ({other})" for other in others)]
