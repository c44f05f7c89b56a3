"""CHECKs that many tables share, each with the sentence that a caller is told.

NaN is greater than every number to PostgreSQL, so each bound of a NUMERIC has an upper end.
"""

from sqlalchemy import CheckConstraint, ColumnElement
from sqlalchemy.sql.elements import conv

__all__ = (
    "amount",
    "amounts",
    "calendar_dates",
    "instants",
    "line",
    "long_text",
    "named_check",
    "order_in_parent",
    "time_zone",
)

MAX_TEXT = 10_000
MAX_SMALLINT = 32_767

# White space other than single blanks between words, and control characters.
_NOT_IN_A_LINE = r"^ | $|  |[\u0001-\u001f\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"


def named_check(name: str, rule: str | ColumnElement[bool], field: str, message: str) -> CheckConstraint:
    """A rule that has a name of its own, used as it stands.

    Args:
        field: the wire path of the value, `body` for a rule across fields.
        message: a sentence for who breaks it.
    """
    return CheckConstraint(rule, name=conv(name), info={"field": field, "message": message})


def line(column: str, field: str | None = None) -> CheckConstraint:
    """A line of text: not empty, trimmed, NFC, single blanks, no control characters."""
    return CheckConstraint(
        f"{column} <> '' AND {column} !~ '{_NOT_IN_A_LINE}' AND {column} IS NORMALIZED",
        name=column,
        info={
            "field": field or _camel(column),
            "message": "Expected a text without outer or double blanks and without control characters.",
        },
    )


def long_text(column: str, field: str | None = None) -> CheckConstraint:
    """A text of at most 10,000 characters."""
    return CheckConstraint(
        f"length({column}) <= {MAX_TEXT}",
        name=column,
        info={"field": field or _camel(column), "message": f"Expected at most {MAX_TEXT:,} characters."},
    )


def amount(
    column: str, least: float | str, most: float | str = MAX_SMALLINT, field: str | None = None
) -> CheckConstraint:
    """A number within bounds, both inclusive."""
    return CheckConstraint(
        f"{column} BETWEEN {least} AND {most}",
        name=column,
        info={"field": field or _camel(column), "message": f"Expected a number from {least} to {most}."},
    )


def amounts(bounds: dict[str, tuple[float | str, float | str]]) -> tuple[CheckConstraint, ...]:
    """Several numbers, each within its bounds."""
    return tuple(amount(column, least, most) for column, (least, most) in bounds.items())


def instants(*columns: str) -> tuple[CheckConstraint, ...]:
    """Instants of the years 1970 to 2100; infinity is none."""
    return tuple(
        CheckConstraint(
            f"{column} >= '1970-01-01 00:00:00+00' AND {column} < '2101-01-01 00:00:00+00'",
            name=column,
            info={"field": _camel(column), "message": "Expected a time from 1970 to 2100."},
        )
        for column in columns
    )


def calendar_dates(*columns: str) -> tuple[CheckConstraint, ...]:
    """Dates of the years 1970 to 2100; infinity is none."""
    return tuple(
        CheckConstraint(
            f"{column} BETWEEN '1970-01-01' AND '2100-12-31'",
            name=column,
            info={"field": _camel(column), "message": "Expected a date from 1970 to 2100."},
        )
        for column in columns
    )


def order_in_parent(most: int, what: str) -> CheckConstraint:
    """A place from 1 to the most there may be. Negative ones last as long as the transaction that reorders."""
    return CheckConstraint(
        f"order_index <> 0 AND order_index BETWEEN -{most} AND {most}",
        name="order_index",
        info={"field": "body", "message": f"There may be at most {most:,} {what}."},
    )


def time_zone(column: str) -> CheckConstraint:
    """What can be the name of a time zone; whether it is one is looked up by the service."""
    return CheckConstraint(
        f"{column} ~ '^[A-Za-z0-9_+/-]+$'",
        name=column,
        info={"field": _camel(column), "message": "Expected the name of a time zone, such as Europe/Berlin."},
    )


def _camel(column: str) -> str:
    first, *others = column.split("_")
    return first + "".join(word.title() for word in others)
