"""The kinds of values that bodies carry: what each is normalised to, and which rule it must keep.

A kind is a type that knows how to read itself from the wire; Structs name it as a field's type.
"""

import re
import unicodedata
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import msgspec
from litestar.openapi.spec import OpenAPIFormat, OpenAPIType, Schema
from msgspec import Meta

from app.errors import BreakType

__all__ = (
    "Count",
    "Email",
    "FieldError",
    "Instant",
    "Kilograms",
    "Kilometres",
    "LongText",
    "Name",
    "Scalar",
    "Seconds",
    "decode_hook",
    "shortest",
    "text_of",
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SPACES = re.compile(r"\s+")
_EMAIL = re.compile(r"[^\s@\"(),:;<>\[\\\]\x00-\x20\x7f]+@[^\s@.\"(),:;<>\[\\\]]+(\.[^\s@.\"(),:;<>\[\\\]]+)+")
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)

Number = int | float
"""A decimal as it goes out: the shortest JSON number, so 80 and not 80.0."""

SmallInt = Annotated[int, Meta(ge=0, le=32767)]
"""A whole number that fits SMALLINT."""

Seconds = Annotated[int, Meta(ge=1, le=32767)]
"""A time as a target or a result, in whole seconds."""

Count = Annotated[int, Meta(ge=0, le=32767)]
"""Repetitions, or seconds of rest."""

RowId = Annotated[int, Meta(ge=1, le=2**31 - 1)]
"""The id of a row numbered by the database."""

BigRowId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
"""The id of a row in a table that grows large."""


class FieldError(ValueError):
    """A value breaks the rule of its kind."""

    def __init__(self, kind: BreakType, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def shortest(value: float | None) -> Number | None:
    """A decimal of the database as it goes out."""
    return int(value) if value is not None and value.is_integer() else value


class Scalar:
    """A kind of value that is read from one JSON value."""

    schema: ClassVar[Schema]

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read and check a value.

        Raises:
            FieldError: it breaks the rule.
        """
        # Each kind reads itself in its own way; there is none in general.
        raise NotImplementedError(f"{cls.__name__} can't be read")


def decode_hook(kind: type[Any], value: object) -> Any:
    """The hook of msgspec that reads our own kinds."""
    if isinstance(kind, type) and issubclass(kind, Scalar):
        return kind.from_wire(value)
    # How msgspec is told that a type is none of ours.
    raise NotImplementedError(f"no way to read {kind}")


def text_of(value: object) -> str:
    """The text that a value is.

    Raises:
        FieldError: it is none, or holds NUL, which PostgreSQL can't store.
    """
    if not isinstance(value, str):
        raise FieldError("type", "Expected a text.")
    if "\x00" in value:
        raise FieldError("pattern", "The NUL character can't be stored.")
    return value


class Line(str, Scalar):
    """A line of text: trimmed, NFC, white space folded, no control characters, then measured."""

    shortest: ClassVar[int] = 1
    longest: ClassVar[int] = 255
    schema = Schema(type=OpenAPIType.STRING, min_length=1, max_length=255)

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Fold, check and measure."""
        text = _SPACES.sub(" ", unicodedata.normalize("NFC", text_of(value))).strip()
        if _CONTROL.search(text):
            raise FieldError("pattern", "Control characters are not allowed.")
        if not cls.shortest <= len(text) <= cls.longest:
            raise FieldError("length", f"Expected {cls.shortest} to {cls.longest} characters.")
        return cls(text)


class Name(Line):
    """A name of 1 to 100 characters."""

    longest = 100
    schema = Schema(type=OpenAPIType.STRING, min_length=1, max_length=100)


class Name3(Line):
    """A name of 3 to 100 characters."""

    shortest, longest = 3, 100
    schema = Schema(type=OpenAPIType.STRING, min_length=3, max_length=100)


class LongText(str, Scalar):
    """A text of up to 10,000 characters; NFC, line breaks kept."""

    longest: ClassVar[int] = 10_000
    schema = Schema(type=OpenAPIType.STRING, max_length=10_000)

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Normalise and measure."""
        text = unicodedata.normalize("NFC", text_of(value).replace("\r\n", "\n"))
        if len(text) > cls.longest:
            raise FieldError("length", f"Expected at most {cls.longest:,} characters.")
        return cls(text)


class Email(str, Scalar):
    """An e-mail address, in lower case, at most 254 characters."""

    schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.EMAIL, max_length=254)

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Fold the case and check the form."""
        text = unicodedata.normalize("NFC", text_of(value)).strip().lower()
        if len(text) > 254:
            raise FieldError("length", "Expected at most 254 characters.")
        if not _EMAIL.fullmatch(text):
            raise FieldError("pattern", "Expected an e-mail address.")
        return cls(text)


class Measure(Decimal, Scalar):
    """A decimal: rounded half-even to the column's scale, then checked."""

    step: ClassVar[Decimal] = Decimal("0.01")
    least: ClassVar[Decimal] = Decimal(0)
    most: ClassVar[Decimal] = Decimal("99999.99")
    schema = Schema(type=OpenAPIType.NUMBER)

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Round, then check the bounds."""
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise FieldError("type", "Expected a number.")
        number = Decimal(str(value))
        if not number.is_finite() or number.adjusted() > 12:
            raise FieldError("range", f"Expected {cls.least} to {cls.most}.")
        try:
            rounded = number.quantize(cls.step, rounding=ROUND_HALF_EVEN)
        except InvalidOperation:
            raise FieldError("range", f"Expected {cls.least} to {cls.most}.") from None
        if not cls.least <= rounded <= cls.most:
            raise FieldError("range", f"Expected {cls.least} to {cls.most}.")
        return cls(rounded + 0)


class Kilograms(Measure):
    """A weight, 0 to 99,999.99 kg."""

    schema = Schema(type=OpenAPIType.NUMBER, minimum=0, maximum=99999.99, description="Kilograms.")


class Kilometres(Measure):
    """A distance, 0.001 to 9,999.999 km."""

    step, least, most = Decimal("0.001"), Decimal("0.001"), Decimal("9999.999")
    schema = Schema(type=OpenAPIType.NUMBER, minimum=0.001, maximum=9999.999, description="Kilometres.")


class Instant(datetime, Scalar):
    """An instant with an offset from UTC, 1970 to 2100; kept in UTC."""

    schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME)

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read RFC 3339."""
        if not isinstance(value, (str, datetime)):
            raise FieldError("type", "Expected a date and time such as 2026-01-31T18:00:00Z.")
        try:
            moment = msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            raise FieldError("pattern", "Expected a date and time such as 2026-01-31T18:00:00Z.") from None
        if moment.tzinfo is None:
            raise FieldError("pattern", "Expected an offset from UTC, such as Z or +02:00.")
        if not _EARLIEST <= moment < _LATEST:
            raise FieldError("range", "Expected a time in the years 1970 to 2100.")
        utc = moment.astimezone(UTC)
        return cls(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, UTC)


class UUIDv7(UUID, Scalar):
    """A UUID of version 7, as clients make them."""

    schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID)

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read, and check version and variant."""
        try:
            parsed = UUID(value) if isinstance(value, str) and len(value) == 36 else None
        except ValueError:
            parsed = None
        if parsed is None or parsed.version != 7:
            raise FieldError("pattern", "Expected a UUID of version 7.")
        return cls(parsed.hex)
