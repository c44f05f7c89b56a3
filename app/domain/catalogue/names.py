"""How names of exercises are compared, and made into slugs."""

import re
import unicodedata
from typing import Final

from app.errors import RuleBroken

__all__ = ("fold", "slugify")

_MARKS: Final = re.compile("[\u0300-\u036f]")
_NOT_IN_SLUGS: Final = re.compile(r"[^a-z0-9]+")
_LONGEST_SLUG: Final = 100
_HYPHENS: Final = str.maketrans("-", " ", "'\N{RIGHT SINGLE QUOTATION MARK}")
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


def fold(name: str) -> str:
    """A name as it is compared: lower case, without accents and apostrophes, hyphens as blanks."""
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", name).lower())
    return " ".join(plain.translate(_HYPHENS).split())


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
