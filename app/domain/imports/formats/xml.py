"""XML that others have made, read by expat as it comes, so that no tree of it is ever built.

A document type is refused, since only there can entities be declared: neither a bomb of them nor a file or address
that they name is ever looked at.
"""

import math
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from xml.parsers import expat

from app.domain.imports.activity import Unreadable

__all__ = ("Handler", "number_of", "read_xml", "time_of")

_CHUNK: Final = 1 << 16
_DEEPEST: Final = 64
_LONGEST_TEXT: Final = 1000
_LONGEST_PART: Final = 1 << 20
_EARLIEST: Final = 0.0
_LATEST: Final = datetime(2101, 1, 1, tzinfo=UTC).timestamp()


class Handler(Protocol):
    """Takes elements as they begin and end.

    Attributes:
        wanted: names of elements whose text matters.
    """

    wanted: frozenset[str]

    def begin(self, name: str, parent: str, attributes: dict[str, str]) -> None:
        """An element begins; names are without their namespaces."""

    def end(self, name: str, parent: str, text: str) -> None:
        """An element ends; the text is that of a wanted one."""


class _Reading:
    """The state between two events."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._path = [""]
        self._text: list[str] = []
        self._length = 0
        self._is_wanted = False

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        parent = self._path[-1]
        self._path.append(local)
        if len(self._path) > _DEEPEST:
            raise Unreadable("Its XML is nested too deep.")
        self._text.clear()
        self._length = 0
        self._is_wanted = local in self._handler.wanted
        self._handler.begin(local, parent, attributes)

    def text(self, part: str) -> None:
        if self._is_wanted and self._length < _LONGEST_TEXT:
            self._text.append(part)
            self._length += len(part)

    def end(self, _: str) -> None:
        local = self._path.pop()
        self._handler.end(local, self._path[-1], "".join(self._text).strip() if self._is_wanted else "")
        self._is_wanted = False


def read_xml(content: bytes, handler: Handler) -> None:
    """Read a document.

    Raises:
        Unreadable: it is not well-formed, nested too deep, in an unknown encoding, has a document type, or a tag or
            comment of more than a megabyte.
    """
    reading = _Reading(handler)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = reading.begin
    parser.CharacterDataHandler = reading.text
    parser.EndElementHandler = reading.end
    # Some devices begin with blanks, which XML does not allow before its declaration.
    view = memoryview(content)[len(content) - len(content.lstrip()) :]
    try:
        for start in range(0, len(view), _CHUNK):
            parser.Parse(view[start : start + _CHUNK], False)  # noqa: FBT003 (it takes no keywords)
            if start - parser.CurrentByteIndex > _LONGEST_PART:
                # Older versions of expat begin with a part anew at each chunk, which takes ever longer.
                raise Unreadable("Its XML is broken: a part has no end.")
        parser.Parse(b"", True)  # noqa: FBT003
    except expat.ExpatError as error:
        raise Unreadable(f"Its XML is broken in line {error.lineno}.") from None
    except (LookupError, ValueError):
        # What its declaration names is none of Python's codecs, or none of single bytes.
        raise Unreadable("Its XML is in an encoding that is not known.") from None


def _refuse(*_: Any) -> None:
    raise Unreadable("Its XML declares a document type, which no file of an activity has.")


def number_of(text: str | None) -> float | None:
    """A finite number, or None for whatever else is there."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def time_of(text: str) -> float | None:
    """An ISO 8601 time as Unix seconds; UTC where it names no offset. None for whatever is none of 1970 to 2100."""
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if _EARLIEST <= seconds < _LATEST else None
