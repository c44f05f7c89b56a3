"""The base of all models: naming convention, keys, and the columns that the database keeps itself."""

import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from threading import Lock
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeVar
from uuid import UUID

from sqlalchemy import TIMESTAMP, BigInteger, Enum, FetchedValue, MetaData, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ("AuditMixin", "Base", "RootMixin", "UUIDKey", "text_enum", "uuid7")

EnumT = TypeVar("EnumT", bound=StrEnum)

_ENUM_LENGTH = 50
_PAYLOAD_BITS = 74
_FIRST_PAYLOAD_BITS = 73
_STEP_BITS = 32

_lock = Lock()
_last = (0, 0)


class Base(DeclarativeBase):
    """The base of all models.

    What the database computes comes back with each INSERT and UPDATE (RETURNING), so that no attribute is ever fetched
    behind the back of a coroutine.
    """

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: TIMESTAMP(timezone=True)}
    __mapper_args__: Mapping[str, Any] = MappingProxyType({"eager_defaults": True})


class AuditMixin:
    """When a row was made and last changed. A trigger keeps the latter; neither is ever sent by us."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=900)
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), server_onupdate=FetchedValue(), sort_order=901
    )


class RootMixin(AuditMixin):
    """An audited row with a version that makes its ETag.

    Triggers raise the version with every write to the row or to one of its children; it is never sent by us.
    """

    version: Mapped[int] = mapped_column(
        BigInteger, server_default=text("1"), server_onupdate=FetchedValue(), sort_order=902
    )


def text_enum(kind: type[EnumT], name: str) -> Enum:
    """A VARCHAR that holds the values of an enumeration, with the CHECK `ck_<table>_<name>`, read as its members."""
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=_ENUM_LENGTH,
        values_callable=lambda members: [member.value for member in members],
    )


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562, section 5.7): Unix milliseconds, then 74 random bits.

    Within one process each is greater than the one before: in the same millisecond, or after the clock was set back,
    the last one is raised by a random step (section 6.2, method 2).
    """
    global _last  # noqa: PLW0603 -- the order over all callers is the point
    now = time.time_ns() // 1_000_000
    with _lock:
        milliseconds, payload = _last
        if now > milliseconds:
            milliseconds, payload = now, secrets.randbits(_FIRST_PAYLOAD_BITS)
        else:
            payload += 1 + secrets.randbits(_STEP_BITS)
            if payload >> _PAYLOAD_BITS:
                milliseconds, payload = milliseconds + 1, secrets.randbits(_FIRST_PAYLOAD_BITS)
        _last = milliseconds, payload
    high, low = payload >> 62, payload & (1 << 62) - 1
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


UUIDKey = Annotated[UUID, mapped_column(primary_key=True, default=uuid7)]
"""A primary key that the application makes."""
