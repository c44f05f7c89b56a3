"""Pages of lists, cursors of histories, and versions."""

import base64
import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from app.errors import PreconditionFailed, RuleBroken

T = TypeVar("T")

MAX_OFFSET_ROWS = 10_000


class SortOrder(StrEnum):
    """Which way a list is sorted."""

    ASC = "asc"
    DESC = "desc"


class Page(Struct, Generic[T], frozen=True, rename="camel"):
    """One page of a list.

    Attributes:
        items: the rows of this page.
        total: rows of the whole list.
        limit: rows a page.
        offset: rows before this page.
    """

    items: list[T]
    total: int
    limit: int
    offset: int


class PageRequest(Struct, frozen=True):
    """Which page of a list is wanted.

    Raises:
        RuleBroken: the page lies past row 10,000.
    """

    current_page: int = 1
    page_size: int = 20

    def __post_init__(self) -> None:
        if self.current_page * self.page_size > MAX_OFFSET_ROWS:
            raise RuleBroken.of("currentPage", f"A list goes to row {MAX_OFFSET_ROWS}; narrow the search.", "range")

    @property
    def offset(self) -> int:
        """Rows before this page."""
        return (self.current_page - 1) * self.page_size


class CursorPage(Struct, Generic[T], frozen=True, rename="camel"):
    """A part of a history, newest first.

    Attributes:
        items: the rows of this part.
        next_cursor: what to send to get the rows behind; null at the end.
        limit: rows asked for.
    """

    items: list[T]
    next_cursor: str | None
    limit: int


def encode_cursor(position: Sequence[str | int], filters: object) -> str:
    """A cursor that stands behind a position, and belongs to these filters alone."""
    return base64.urlsafe_b64encode(msgspec.json.encode([_digest(filters), *position])).decode().rstrip("=")


def decode_cursor(cursor: str, filters: object, length: int, field: str = "cursor") -> list[str | int]:
    """The position that a cursor names.

    Args:
        field: the parameter that it came in.

    Raises:
        RuleBroken: it is not one of ours, or was made for other filters.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, *position = msgspec.json.decode(raw, type=list[str | int])
    except (ValueError, msgspec.MsgspecError):
        raise RuleBroken.of(field, "This is not a cursor of this list.", "pattern") from None
    if digest != _digest(filters) or len(position) != length:
        raise RuleBroken.of(field, "This cursor belongs to other filters; begin again without it.", "rule")
    return position


def _digest(filters: object) -> str:
    return hashlib.sha256(msgspec.json.encode(filters, order="deterministic")).hexdigest()[:12]


class Versioned(Struct, Generic[T], frozen=True):
    """A document, the version of its root, and what the viewer may do with it. The last two make its ETag."""

    document: T
    version: int
    access: str = "owner"

    @property
    def tag(self) -> str:
        """What tells this state of the document from every other."""
        return version_tag(self.version, self.access)


def version_tag(version: int, access: str = "owner") -> str:
    """What tells a state of a document, as one viewer sees it, from every other."""
    return f"{version}-{access}"


class Precondition(Struct, frozen=True):
    """What the caller says about the stored state that a write may meet.

    Attributes:
        tags: the states that fit (If-Match); None: any that exists.
        refused: the states that don't (If-None-Match); None: any that exists.
        needs_state: whether there has to be a stored state.
    """

    tags: frozenset[str] | None = None
    refused: frozenset[str] | None = frozenset()
    needs_state: bool = False

    def check(self, version: int, access: str = "owner") -> None:
        """Compare with the stored state; to be called inside the write, with the root's row locked.

        Raises:
            PreconditionFailed: the stored state is another one, or one that is refused.
        """
        tag = version_tag(version, access)
        if not (self.tags is None or tag in self.tags) or self.refused is None or tag in self.refused:
            raise PreconditionFailed

    def check_new(self) -> None:
        """To be called where there is no stored state.

        Raises:
            PreconditionFailed: there has to be one.
        """
        if self.needs_state:
            raise PreconditionFailed
