"""How names of exercises are compared, and made into slugs."""

import re
import unicodedata
from typing import Final

from app.errors import RuleBroken

__all__ = ("FOLDED_NAME", "fold", "once", "search_text", "search_words", "slugify")

_MARKS: Final = re.compile("[\u0300-\u036f]")
_NOT_IN_SLUGS: Final = re.compile(r"[^a-z0-9]+")
_LONGEST_SLUG: Final = 100
_HYPHENS: Final = str.maketrans(
    "-\N{LATIN SMALL LETTER DOTLESS I}\N{GREEK SMALL LETTER FINAL SIGMA}",
    " i\N{GREEK SMALL LETTER SIGMA}",
    "'\N{RIGHT SINGLE QUOTATION MARK}",
)
_PLAIN_LETTERS: Final = str.maketrans("ßøđðł", "soddl")
_SIGNS: Final = re.compile(r"[\u0001-/:-@\[-`{-\u00bf\u2000-\u206f]+")
_DOUBLED: Final = re.compile(r"([a-z])\1+")
_LETTERS: Final = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "ł": "l",
        "þ": "th",
        "\N{LATIN SMALL LETTER DOTLESS I}": "i",
    }
)

FOLDED_NAME: Final = (
    "btrim(regexp_replace(translate(regexp_replace(lower(normalize(name, NFKD)), '[\\u0300-\\u036f]', '', 'g'), "
    "'-\N{LATIN SMALL LETTER DOTLESS I}\N{GREEK SMALL LETTER FINAL SIGMA}''\N{RIGHT SINGLE QUOTATION MARK}', "
    "' i\N{GREEK SMALL LETTER SIGMA}'), ' +', ' ', 'g'))"
)
"""What `fold` does with the column name, in SQL."""


def fold(name: str) -> str:
    """A name as it is compared: lower case, without accents and apostrophes, hyphens as blanks."""
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", name).lower())
    return " ".join(plain.translate(_HYPHENS).split())


def search_words(name: str) -> list[str]:
    """The words of a folded name, without signs."""
    return _SIGNS.sub(" ", fold(name).translate(_PLAIN_LETTERS)).split()


def once(words: str) -> str:
    """Words with doubled letters written once: "dumbell" is a dumbbell."""
    return _DOUBLED.sub(r"\1", words)


def search_text(*names: str) -> str:
    """What the trigger keep_search_text keeps: of each name its words, and all of them as one."""
    return "|" + "".join(f" {once(' '.join(words))} {once(''.join(words))} |" for words in map(search_words, names))


def slugify(name: str) -> str:
    """The slug of a name: folded to ASCII, lower-case, everything else to ``-``.

    Raises:
        RuleBroken: nothing is left.
    """
    letters = _MARKS.sub("", unicodedata.normalize("NFKD", name).lower()).translate(_LETTERS)
    slug = _NOT_IN_SLUGS.sub("-", letters).strip("-")[:_LONGEST_SLUG].rstrip("-")
    if not slug:
        raise RuleBroken.of("name", "The name needs a letter from a to z, or a digit, for its slug.")
    return slug
