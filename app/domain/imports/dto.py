"""Files of runs and imports on the wire."""

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from msgspec import Struct

from app.http.fields import Number

__all__ = ("FileOutcome", "FilesOutcome", "ImportFailure", "ImportedRun", "Outcome", "RunImport")


class Outcome(StrEnum):
    """What became of an activity, or of a file that none could be read from."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    SKIPPED = "skipped"
    REFUSED = "refused"


class ImportedRun(Struct, rename="camel", kw_only=True):
    """What became of one activity of a file.

    Attributes:
        status: skipped: its sport is not running.
        run_id: the run that was stored, or the one that it repeats.
        plan_id: with workout_id, what it was linked to.
        auto_matched: whether it was linked to a workout of its day.
        reason: why no run was stored.
    """

    status: Outcome
    run_id: UUID | None = None
    plan_id: UUID | None = None
    workout_id: UUID | None = None
    auto_matched: bool = False
    started_at: datetime | None = None
    distance_km: Number | None = None
    duration_seconds: int | None = None
    elapsed_seconds: int | None = None
    reason: str | None = None


class FileOutcome(Struct, rename="camel", kw_only=True):
    """What became of a file.

    Attributes:
        name: as it was sent.
        format: gpx, tcx or fit; null where it is none of them.
        status: stored, when a run of it was; else what became of its first activity.
        reason: why it could not be read at all, or why its first activity was not stored.
        activities: in the file's order; empty where it could not be read.
    """

    name: str
    format: str | None
    status: Outcome
    reason: str | None
    run_id: UUID | None
    activities: list[ImportedRun]


class FilesOutcome(Struct, rename="camel", kw_only=True):
    """What became of files, each by itself, in the order in which they were sent."""

    stored: int
    duplicates: int
    skipped: int
    refused: int
    files: list[FileOutcome]


class ImportFailure(Struct, rename="camel", frozen=True):
    """Something of an archive that could not be stored."""

    name: str
    reason: str


class RunImport(Struct, rename="camel", kw_only=True):
    """An archive that is being imported, or was.

    Attributes:
        total: its activities.
        done: how many of them something has become of: the sum of the four that follow.
        duplicates: runs that were there already.
        skipped: activities that are no runs.
        failed: runs that could not be stored; `errors` tells of the first hundred.
    """

    id: UUID
    name: str
    status: Literal["running", "completed", "cancelled"]
    total: int
    done: int
    stored: int
    duplicates: int
    skipped: int
    failed: int
    errors: list[ImportFailure]
    created_at: datetime
    finished_at: datetime | None
