"""What carries the service: answers that are kept, and traces of what was deleted."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, SmallInteger, String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, text_enum
from app.db.changes import changes_index, writing_transaction
from app.db.constraints import amount, named_check

__all__ = ("IdempotencyKey", "Tombstone", "TombstoneKind")


class TombstoneKind(StrEnum):
    """What was deleted."""

    EXERCISE = "exercise"
    TRAINING_UNIT = "training_unit"
    TRAINING_PLAN = "training_plan"
    TRAINING_SESSION = "training_session"
    RUNNING_PLAN = "running_plan"
    RUNNING_WORKOUT = "running_workout"
    RUN = "run"


class IdempotencyKey(Base):
    """The answer to a POST, stored in the transaction of its write and dropped after a day.

    Attributes:
        body_hash: SHA-256 of the request's body.
    """

    __tablename__ = "idempotency_key"
    __table_args__ = (
        Index("ix_idempotency_key_created_at", "created_at"),
        named_check(
            "check_key_characters", "key ~ '^[!-~]+$'", "Idempotency-Key", "Expected visible ASCII characters."
        ),
        named_check("check_key_body_hash", "octet_length(body_hash) = 32", "body", "Expected a SHA-256 hash."),
        amount("status", 200, 499),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    method: Mapped[str] = mapped_column(String(10), primary_key=True)
    path: Mapped[str] = mapped_column(String(512), primary_key=True)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Tombstone(Base):
    """Something that a user deleted less than a year ago: 410 instead of 404, and news for clients that synchronise.

    Triggers leave it, whoever deletes.
    """

    __tablename__ = "tombstone"
    __table_args__ = (changes_index("tombstone", "user_id", told=("kind", "deleted_at")),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[TombstoneKind] = mapped_column(text_enum(TombstoneKind, "kind"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_xid: Mapped[int] = mapped_column(BigInteger, writing_transaction("deleted_at"))
