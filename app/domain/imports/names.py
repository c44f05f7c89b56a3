"""Texts of others, made fit to be kept as one line."""

import re
import unicodedata
from typing import Final

__all__ = ("plain_line",)

_BLANKS: Final = re.compile(r"\s+")


def plain_line(text: str, longest: int = 200) -> str:
    """A text in one line: NFC, trimmed, single blanks, no control characters; its end where it is too long."""
    plain = "".join(char if _is_plain(char) else " " for char in unicodedata.normalize("NFC", text))
    return unicodedata.normalize("NFC", _BLANKS.sub(" ", plain).strip()[-longest:].strip())


def _is_plain(char: str) -> bool:
    # Neither control characters and halves of surrogate pairs, nor separators other than the blank.
    return unicodedata.category(char)[0] not in "CZ"
