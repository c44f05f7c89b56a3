"""Files of runs, and archives that are being imported."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, UUIDKey, text_enum
from app.db.constraints import amount, instants, line, named_check, time_zone

__all__ = ("ImportStatus", "RunImport", "RunImportItem", "RunOriginal")


class ImportStatus(StrEnum):
    """How far an import has come. Nobody is told of one that is being received, which nothing is done with yet."""

    RECEIVING = "receiving"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class RunOriginal(Base):
    """The file that a run was read from. It goes with the run.

    Attributes:
        content: gzipped, and so not compressed again by PostgreSQL.
        is_wrapped: whether it was gzipped by us; else it came so, and is handed out so.
    """

    __tablename__ = "run_original"
    __table_args__ = (line("name"),)

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    media_type: Mapped[str] = mapped_column(String(100))
    is_wrapped: Mapped[bool]
    content: Mapped[bytes] = mapped_column(LargeBinary)


class RunImport(Base):
    """An archive that is being imported, or was.

    Attributes:
        total: activities of the archive, those included that are no runs.
        stored: with duplicates, skipped and failed, what has become of those that are done.
    """

    __tablename__ = "run_import"
    __table_args__ = (
        named_check(
            "check_import_end",
            "status NOT IN ('receiving', 'running', 'completed', 'cancelled')"
            " OR (status IN ('receiving', 'running')) = (finished_at IS NULL)",
            "body",
            "An import has an end when it runs no more.",
        ),
        line("name"),
        time_zone("user_timezone"),
        *(amount(column, 0, 2**31 - 1) for column in ("total", "stored", "duplicates", "skipped", "failed")),
        *instants("finished_at"),
        Index("ix_run_import_open", "id", postgresql_where=text("status IN ('receiving', 'running')")),
    )

    id: Mapped[UUIDKey]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(255))
    user_timezone: Mapped[str] = mapped_column(String(50))
    status: Mapped[ImportStatus] = mapped_column(text_enum(ImportStatus, "status"), server_default="running")
    total: Mapped[int]
    stored: Mapped[int] = mapped_column(server_default="0")
    duplicates: Mapped[int] = mapped_column(server_default="0")
    skipped: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class RunImportItem(Base):
    """A run of an archive that is still to be stored, or could not be. What is done has no row any more.

    Attributes:
        activity: what the archive's table says of it.
        content: its file, until it is done; see `RunOriginal`.
        reason: why it could not be stored.
        lease: of the worker that is at it.
        leased_until: when another worker may take it.
        attempts: how often one has begun with it.
    """

    __tablename__ = "run_import_item"
    __table_args__ = (
        line("name"),
        line("reason"),
        amount("place", 0, 2**31 - 1),
        amount("attempts", 0),
        *instants("leased_until"),
    )

    import_id: Mapped[UUID] = mapped_column(ForeignKey("run_import.id", ondelete="CASCADE"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(255))
    activity: Mapped[str] = mapped_column(JSONB)
    is_wrapped: Mapped[bool] = mapped_column(server_default=text("false"))
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[str | None] = mapped_column(String(500))
    lease: Mapped[UUID | None]
    leased_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
