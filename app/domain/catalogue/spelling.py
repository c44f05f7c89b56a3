"""How a word that is searched may be written in a search text, as patterns of LIKE.

A search text (see `names.search_text`) has blanks on both sides of each word, doubled letters once, and no signs, so
nothing in these patterns needs to be escaped.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from app.domain.catalogue.names import once

__all__ = ("SearchedWord", "searched_words")

_ABBREVIATIONS: Final = {"bb": "barbell", "db": "dumbbell", "kb": "kettlebell"}

_LONG: Final = 5
"""From so many letters on a word may be a part of another one, and have its typing error while it is being typed."""

_SHORTEST_WITH_ERROR: Final = 3

_LONGEST_WITH_ERROR: Final = 30
"""A bound for the number of patterns; hardly a word is longer."""


class SearchedWord(Struct, frozen=True):
    """A word as it was typed, and other words that mean it.

    Attributes:
        typed: folded.
        alternatives: what it is short for, and it written together with its neighbours.
    """

    typed: str
    alternatives: tuple[str, ...] = ()

    @property
    def whole(self) -> list[str]:
        """It as a whole word, singular or plural."""
        return [f"% {form} %" for word in (self.typed, *self.alternatives) for form in _forms(word)]

    @property
    def literal(self) -> list[str]:
        """It without a typing error: a whole word, the beginning of one, or, when it is long, a part of one."""
        beginnings = [f"% {once(word)}%" for word in (self.typed, *self.alternatives)]
        inside = [f"%{_singular(self.typed)}%"] if len(_singular(self.typed)) >= _LONG else []
        return [*self.whole, *beginnings, *inside]

    @property
    def mistyped(self) -> list[str]:
        """It with one letter wrong, missing or too many, or two in the wrong order."""
        # Where a letter is missing, two others may look like a doubled one.
        stems = dict.fromkeys((_singular(self.typed), _stem(self.typed)))
        return [pattern for stem in stems for edit in _edits(stem) for pattern in self._ended(f"% {edit}")]

    def _ended(self, pattern: str) -> list[str]:
        return [f"{pattern}%"] if len(_singular(self.typed)) >= _LONG else [f"{pattern} %", f"{pattern}s %"]


def searched_words(words: Sequence[str]) -> list[SearchedWord]:
    """Words that are searched together: "pull down" may be one word, "pullup" may be two."""
    joined = [first + second for first, second in pairwise(words)]
    return [
        SearchedWord(word, (*_meant(word), *joined[max(number - 1, 0) : number + 1]))
        for number, word in enumerate(words)
    ]


def _meant(word: str) -> Iterator[str]:
    if word in _ABBREVIATIONS:
        yield _ABBREVIATIONS[word]


def _singular(word: str) -> str:
    return once(_stem(word))


def _stem(word: str) -> str:
    return word[:-1] if _is_plural(word) else word


def _is_plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith("ss") and len(word) > 2


def _forms(word: str) -> Iterator[str]:
    """Singular and plural; a word that ends in s may be either."""
    yield once(word)
    yield f"{once(word)}s"
    if _is_plural(word):
        yield _singular(word)
        if word.endswith("es"):
            yield once(word[:-2])
        if word.endswith("ies"):
            yield f"{once(word[:-3])}y"


def _edits(word: str) -> Iterator[str]:
    if len(word) > _LONGEST_WITH_ERROR:
        return
    if len(word) < _SHORTEST_WITH_ERROR:
        if len(set(word)) > 1:
            yield _swapped(word, 0)
        return
    for place in range(len(word) - 1):
        yield _swapped(word, place)
    for place in range(len(word)):
        yield f"{word[:place]}{word[place + 1 :]}"
        yield f"{word[:place]}_{word[place:]}"
        yield f"{word[:place]}_{word[place + 1 :]}"
    yield f"{word}_"


def _swapped(word: str, place: int) -> str:
    return f"{word[:place]}{word[place + 1]}{word[place]}{word[place + 2 :]}"
