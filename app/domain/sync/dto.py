"""What has changed, on the wire."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from app.domain.catalogue.dto import Exercise
from app.domain.history.dto import TrainingSession
from app.domain.running.dto import Run
from app.domain.training.dto import TrainingPlan, TrainingUnit

__all__ = (
    "Change",
    "ChangeKind",
    "ChangedExercise",
    "ChangedPlan",
    "ChangedRun",
    "ChangedSession",
    "ChangedUnit",
    "Changes",
)


class ChangeKind(StrEnum):
    """What has changed."""

    EXERCISE = "exercise"
    TRAINING_UNIT = "training_unit"
    TRAINING_PLAN = "training_plan"
    TRAINING_SESSION = "training_session"
    RUN = "run"


class _Change(Struct, rename="camel", kw_only=True, tag_field="kind"):
    """Something of mine that was made, changed or deleted.

    Attributes:
        etag: its state, as If-Match takes it; null when it was deleted.
        deleted_at: when it was deleted, or given to everybody; null while it is mine.
    """

    id: UUID
    etag: str | None
    deleted_at: datetime | None


class ChangedExercise(_Change, tag=ChangeKind.EXERCISE.value):
    """A custom exercise.

    Attributes:
        document: as its own route shows it; null when it was deleted.
    """

    document: Exercise | None


class ChangedUnit(_Change, tag=ChangeKind.TRAINING_UNIT.value):
    """A training unit.

    Attributes:
        document: as its own route shows it; null when it was deleted.
    """

    document: TrainingUnit | None


class ChangedPlan(_Change, tag=ChangeKind.TRAINING_PLAN.value):
    """A training plan.

    Attributes:
        document: as its own route shows it; null when it was deleted.
    """

    document: TrainingPlan | None


class ChangedSession(_Change, tag=ChangeKind.TRAINING_SESSION.value):
    """A training session.

    Attributes:
        document: as its own route shows it; null when it was deleted.
    """

    document: TrainingSession | None


class ChangedRun(_Change, tag=ChangeKind.RUN.value):
    """A run.

    Attributes:
        document: as its own route shows it; null when it was deleted.
    """

    document: Run | None


Change = ChangedExercise | ChangedUnit | ChangedPlan | ChangedSession | ChangedRun


class Changes(Struct, rename="camel", kw_only=True):
    """A part of what has changed, oldest change first.

    Attributes:
        next_cursor: what to send as `since` the next time, at the end too.
        has_more: whether there is more to be had at once.
        limit: changes asked for.
    """

    items: list[Change]
    next_cursor: str
    has_more: bool
    limit: int
