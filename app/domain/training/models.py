"""Templates: units (one workout) and plans (units over days), and who else may see them."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, RootMixin, UUIDKey, text_enum
from app.db.changes import ChangesMixin, changes_index
from app.db.constraints import amount, amounts, instants, line, long_text, named_check, order_in_parent
from app.domain.catalogue.models import DifficultyLevel, ExerciseMode

__all__ = (
    "MAX_DAYS",
    "MAX_UNITS",
    "AccessLevel",
    "ShareLink",
    "SharingStatus",
    "TrainingPlan",
    "TrainingPlanAccess",
    "TrainingPlanUnit",
    "TrainingUnit",
    "TrainingUnitAccess",
    "TrainingUnitExercise",
)

MAX_DAYS = 730
MAX_UNITS = 1_000


class SharingStatus(StrEnum):
    """Who may read a template besides its owner."""

    PRIVATE = "private"
    SHARED = "shared"
    PUBLIC = "public"


class AccessLevel(StrEnum):
    """What somebody may do with a template that is shared with them."""

    READ = "read"
    WRITE = "write"


class TemplateMixin(ChangesMixin, RootMixin):
    """What units and plans have in common.

    Attributes:
        created_by: its owner; None for a public one whose owner has left.
    """

    id: Mapped[UUIDKey]
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    sharing_status: Mapped[SharingStatus] = mapped_column(
        text_enum(SharingStatus, "sharing_status"), server_default="private"
    )


def _template_rules(table: str, noun: str) -> tuple[Index | CheckConstraint, ...]:
    return (
        Index(
            f"uq_{table}_created_by_name",
            "created_by",
            func.lower(text("name")),
            unique=True,
            postgresql_where=text("created_by IS NOT NULL"),
            info={"field": "name", "message": f"You have a {noun} of this name."},
        ),
        Index(f"ix_{table}_public", "id", postgresql_where=text("sharing_status = 'public'")),
        changes_index(table, "created_by", condition="created_by IS NOT NULL"),
        line("name"),
        long_text("description"),
    )


class TrainingUnit(TemplateMixin, Base):
    """One workout, "Push day"."""

    __tablename__ = "training_units"
    __table_args__ = _template_rules("training_units", "unit")

    exercises: Mapped[list["TrainingUnitExercise"]] = relationship(
        lazy="raise", cascade="all, delete-orphan", passive_deletes=True, order_by="TrainingUnitExercise.order_index"
    )


class TrainingPlan(TemplateMixin, Base):
    """A programme of units over days."""

    __tablename__ = "training_plans"
    __table_args__ = _template_rules("training_plans", "plan")

    difficulty_level: Mapped[DifficultyLevel] = mapped_column(text_enum(DifficultyLevel, "difficulty_level"))

    units: Mapped[list["TrainingPlanUnit"]] = relationship(
        lazy="raise",
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by="TrainingPlanUnit.day_number, TrainingPlanUnit.order_index",
    )


class TrainingUnitExercise(Base):
    """An exercise of a unit, with its targets.

    Attributes:
        exercise_name_snapshot: copied when added: a template survives the exercise.
        target_weight: kilograms.
        superset_group: exercises of the same number are done in turns.
    """

    __tablename__ = "training_unit_exercises"
    __table_args__ = (
        UniqueConstraint("training_unit_id", "order_index", info={"field": "body", "message": "This place is taken."}),
        Index(
            "ix_training_unit_exercises_exercise_id", "exercise_id", postgresql_where=text("exercise_id IS NOT NULL")
        ),
        named_check(
            "check_mode_consistency",
            "CASE mode"
            " WHEN 'reps' THEN num_nonnulls(reps_min, reps_max) > 0"
            " WHEN 'time' THEN target_time_seconds IS NOT NULL"
            " WHEN 'distance' THEN target_distance_km IS NOT NULL"
            " WHEN 'sets_only' THEN num_nonnulls(reps_min, reps_max, target_time_seconds, target_distance_km) = 0"
            " END",
            "body",
            "The mode needs its own target; sets_only has none.",
        ),
        named_check("check_sets_count", "sets BETWEEN 1 AND 100", "sets", "Expected 1 to 100 sets."),
        named_check("check_reps_range", "reps_min <= reps_max", "repsMax", "Expected at least repsMin."),
        line("exercise_name_snapshot", "exerciseName"),
        long_text("unit_exercise_notes", "notes"),
        order_in_parent(100, "exercises in a unit"),
        *amounts(
            {
                "target_weight": (0, "99999.99"),
                "reps_min": (0, 32767),
                "reps_max": (0, 32767),
                "target_time_seconds": (1, 32767),
                "target_distance_km": ("0.001", "9999.999"),
                "rest_seconds": (0, 32767),
                "superset_group": (1, 100),
            }
        ),
    )

    id: Mapped[int] = mapped_column(Identity(always=False), primary_key=True)
    training_unit_id: Mapped[UUID] = mapped_column(ForeignKey("training_units.id", ondelete="CASCADE"))
    exercise_id: Mapped[UUID | None] = mapped_column(ForeignKey("exercises.id", ondelete="SET NULL"))
    exercise_name_snapshot: Mapped[str] = mapped_column(String(100))
    mode: Mapped[ExerciseMode] = mapped_column(text_enum(ExerciseMode, "mode"))
    order_index: Mapped[int] = mapped_column(SmallInteger)
    unit_exercise_notes: Mapped[str | None] = mapped_column(Text)
    target_weight: Mapped[Decimal | None] = mapped_column(Numeric(7, 2))
    sets: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
    reps_min: Mapped[int | None] = mapped_column(SmallInteger)
    reps_max: Mapped[int | None] = mapped_column(SmallInteger)
    target_time_seconds: Mapped[int | None] = mapped_column(SmallInteger)
    target_distance_km: Mapped[Decimal | None] = mapped_column(Numeric(7, 3))
    rest_seconds: Mapped[int | None] = mapped_column(SmallInteger)
    superset_group: Mapped[int | None] = mapped_column(SmallInteger)


class TrainingPlanUnit(Base):
    """A unit on a day of a plan; days without one are rest days.

    A plan has at most 1,000 of them: the trigger `check_plan_size` counts.
    """

    __tablename__ = "training_plan_units"
    __table_args__ = (
        UniqueConstraint(
            "training_plan_id",
            "day_number",
            "order_index",
            info={"field": "body", "message": "This place of the day is taken."},
        ),
        amount("day_number", 1, MAX_DAYS),
        order_in_parent(MAX_UNITS, "units in a plan"),
    )

    id: Mapped[int] = mapped_column(Identity(always=False), primary_key=True)
    training_plan_id: Mapped[UUID] = mapped_column(ForeignKey("training_plans.id", ondelete="CASCADE"))
    training_unit_id: Mapped[UUID] = mapped_column(ForeignKey("training_units.id", ondelete="RESTRICT"), index=True)
    day_number: Mapped[int] = mapped_column(SmallInteger)
    order_index: Mapped[int] = mapped_column(SmallInteger)

    unit: Mapped[TrainingUnit] = relationship(lazy="raise")


class AccessMixin:
    """What a user may do with another's template while it is shared."""

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True, index=True, sort_order=1
    )
    granted_by: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"), sort_order=2)
    access_level: Mapped[AccessLevel] = mapped_column(
        text_enum(AccessLevel, "access_level"), server_default="read", sort_order=3
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=4)


def _access_rules(table: str) -> tuple[Index | CheckConstraint, ...]:
    return (
        named_check("check_not_self_grant", "user_id <> granted_by", "body", "Nobody grants access to themselves."),
        Index(f"ix_{table}_granted_by", "granted_by", postgresql_where=text("granted_by IS NOT NULL")),
    )


class TrainingUnitAccess(AccessMixin, Base):
    """What a user may do with another's unit while it is shared."""

    __tablename__ = "training_unit_access"
    __table_args__ = _access_rules("training_unit_access")

    training_unit_id: Mapped[UUID] = mapped_column(
        ForeignKey("training_units.id", ondelete="CASCADE"), primary_key=True
    )


class TrainingPlanAccess(AccessMixin, Base):
    """What a user may do with another's plan while it is shared."""

    __tablename__ = "training_plan_access"
    __table_args__ = _access_rules("training_plan_access")

    training_plan_id: Mapped[UUID] = mapped_column(
        ForeignKey("training_plans.id", ondelete="CASCADE"), primary_key=True
    )


class ShareLink(Base):
    """A link by which anybody may read one template, without an account, while it is shared or public.

    Attributes:
        token_hash: SHA-256 of the token, which is told once.
        created_by: the template's owner; the link goes with the account.
        expires_at: None: it does not end by itself.
    """

    __tablename__ = "share_link"
    __table_args__ = (
        *(
            Index(f"uq_share_link_{column}", column, unique=True, postgresql_where=text(f"{column} IS NOT NULL"))
            for column in ("training_unit_id", "training_plan_id")
        ),
        UniqueConstraint("token_hash"),
        named_check(
            "check_one_template",
            "num_nonnulls(training_unit_id, training_plan_id) = 1",
            "body",
            "A link leads to one unit or one plan.",
        ),
        CheckConstraint(
            "length(token_hash) = 32", name="token_hash", info={"field": "body", "message": "Expected 32 bytes."}
        ),
        *instants("expires_at"),
    )

    id: Mapped[UUIDKey]
    training_unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("training_units.id", ondelete="CASCADE"))
    training_plan_id: Mapped[UUID | None] = mapped_column(ForeignKey("training_plans.id", ondelete="CASCADE"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_by: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
