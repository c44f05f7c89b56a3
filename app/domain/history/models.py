"""What was trained, independent of what templates and exercises become later."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Computed,
    FetchedValue,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
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
from app.db.constraints import amount, amounts, instants, line, long_text, named_check, order_in_parent, time_zone
from app.domain.catalogue.models import ExerciseMode
from app.domain.training.models import MAX_DAYS

__all__ = (
    "EXTERNAL_ID_TAKEN",
    "ExerciseMode",
    "SessionStatus",
    "SetType",
    "TrainingSession",
    "TrainingSessionExercise",
    "TrainingSessionSet",
)

EXTERNAL_ID_TAKEN = "You have the session of this source and externalId already."


class SessionStatus(StrEnum):
    """How far a session has come."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    ABORTED = "aborted"


class SetType(StrEnum):
    """What a set was for. Statistics count every set but warm-ups, those without a type included."""

    WARM_UP = "warm_up"
    WORKING = "working"
    DROP = "drop"
    FAILURE = "failure"


class TrainingSession(ChangesMixin, RootMixin, Base):
    """A workout that somebody does or did.

    Attributes:
        perceived_effort: of the whole session, 1 to 10 (session RPE on Borg's CR-10 scale).
        source: where an imported session comes from.
        external_id: its id there; nobody has the same one twice.
        training_plan_id: with training_unit_id None for a freestyle session, and after the template was deleted.
        local_date: the day of the start in the session's own time zone.
        duration_seconds: whole seconds from start to end, of a completed session.
        client_revision: counted by a client that works offline.
    """

    __tablename__ = "training_sessions"
    __table_args__ = (
        Index("idx_ts_user_start", "user_id", "start_time", "id"),
        changes_index("training_sessions", "user_id"),
        UniqueConstraint(
            "user_id",
            "source",
            "external_id",
            info={"field": "externalId", "message": EXTERNAL_ID_TAKEN},
        ),
        named_check(
            "check_session_source",
            "external_id IS NULL OR source IS NOT NULL",
            "source",
            "An externalId needs a source.",
        ),
        *(
            Index(f"ix_training_sessions_{columns[0]}", *columns, postgresql_where=text(f"{columns[0]} IS NOT NULL"))
            for columns in (["training_plan_id"], ["training_unit_id"], ["plan_unit_id", "user_id"])
        ),
        named_check("check_session_times", "end_time >= start_time", "endTime", "Expected a time after startTime."),
        named_check(
            "check_session_status",
            "CASE status"
            " WHEN 'in_progress' THEN end_time IS NULL AND duration_seconds IS NULL"
            " WHEN 'completed' THEN end_time IS NOT NULL AND duration_seconds IS NOT NULL"
            " AND duration_seconds = floor(extract(epoch FROM end_time - start_time))"
            " WHEN 'aborted' THEN end_time IS NOT NULL AND duration_seconds IS NULL"
            " END",
            "endTime",
            "A session has an end once it is completed or aborted, and a duration once it is completed.",
        ),
        line("plan_name_snapshot", "planName"),
        line("unit_name_snapshot", "unitName"),
        amount("day_number_snapshot", 1, MAX_DAYS, "dayNumber"),
        amount("client_revision", 0, 2**63 - 1),
        amount("perceived_effort", 1, 10),
        line("source"),
        line("external_id"),
        time_zone("user_timezone"),
        long_text("notes"),
        *instants("start_time", "end_time"),
    )

    id: Mapped[UUIDKey]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="RESTRICT"))
    training_plan_id: Mapped[UUID | None] = mapped_column(ForeignKey("training_plans.id", ondelete="SET NULL"))
    training_unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("training_units.id", ondelete="SET NULL"))
    plan_unit_id: Mapped[int | None] = mapped_column(ForeignKey("training_plan_units.id", ondelete="SET NULL"))
    plan_name_snapshot: Mapped[str | None] = mapped_column(String(100))
    unit_name_snapshot: Mapped[str | None] = mapped_column(String(100))
    day_number_snapshot: Mapped[int | None] = mapped_column(SmallInteger)
    start_time: Mapped[datetime] = mapped_column(server_default=func.now())
    end_time: Mapped[datetime | None]
    user_timezone: Mapped[str] = mapped_column(String(50))
    local_date: Mapped[date] = mapped_column(Computed("(start_time AT TIME ZONE user_timezone)::date", persisted=True))
    status: Mapped[SessionStatus] = mapped_column(text_enum(SessionStatus, "status"), server_default="in_progress")
    duration_seconds: Mapped[int | None]
    notes: Mapped[str | None] = mapped_column(Text)
    client_revision: Mapped[int | None] = mapped_column(BigInteger)
    perceived_effort: Mapped[Decimal | None] = mapped_column(Numeric(3, 1))
    source: Mapped[str | None] = mapped_column(String(50))
    external_id: Mapped[str | None] = mapped_column(String(255))

    exercises: Mapped[list["TrainingSessionExercise"]] = relationship(
        lazy="raise", cascade="all, delete-orphan", passive_deletes=True, order_by="TrainingSessionExercise.order_index"
    )


class TrainingSessionExercise(Base):
    """An exercise of a session, with a copy of what was planned at the start.

    Attributes:
        user_id: of the session. A trigger takes it from there, so that an exercise's last time is found by an index.
        exercise_id: None for a name alone, and after the exercise was deleted.
        superset_group: exercises of the same number are done in turns.
    """

    __tablename__ = "training_session_exercises"
    __table_args__ = (
        UniqueConstraint(
            "training_session_id", "order_index", info={"field": "body", "message": "This place is taken."}
        ),
        UniqueConstraint("id", "mode_snapshot"),
        Index(
            "ix_training_session_exercises_exercise_id",
            "exercise_id",
            "user_id",
            postgresql_where=text("exercise_id IS NOT NULL"),
        ),
        Index(
            "ix_training_session_exercises_name",
            "user_id",
            text("lower(exercise_name_snapshot)"),
            postgresql_where=text("exercise_id IS NULL"),
        ),
        Index(
            "ix_training_session_exercises_planned_unit_exercise_id",
            "planned_unit_exercise_id",
            postgresql_where=text("planned_unit_exercise_id IS NOT NULL"),
        ),
        line("exercise_name_snapshot", "exerciseName"),
        order_in_parent(100, "exercises in a session"),
        *amounts(
            {
                "order_index_snapshot": (1, 100),
                "target_weight_snapshot": (0, "99999.99"),
                "sets_snapshot": (1, 100),
                "reps_min_snapshot": (0, 32767),
                "reps_max_snapshot": (0, 32767),
                "target_time_seconds_snapshot": (1, 32767),
                "target_distance_km_snapshot": ("0.001", "9999.999"),
                "rest_seconds_snapshot": (0, 32767),
                "superset_group": (1, 100),
            }
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
    training_session_id: Mapped[UUID] = mapped_column(ForeignKey("training_sessions.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(server_default=FetchedValue())
    exercise_id: Mapped[UUID | None] = mapped_column(ForeignKey("exercises.id", ondelete="SET NULL"))
    planned_unit_exercise_id: Mapped[int | None] = mapped_column(
        ForeignKey("training_unit_exercises.id", ondelete="SET NULL")
    )
    mode_snapshot: Mapped[ExerciseMode] = mapped_column(text_enum(ExerciseMode, "mode_snapshot"))
    exercise_name_snapshot: Mapped[str] = mapped_column(String(100))
    order_index: Mapped[int] = mapped_column(SmallInteger)
    order_index_snapshot: Mapped[int | None] = mapped_column(SmallInteger)
    target_weight_snapshot: Mapped[Decimal | None] = mapped_column(Numeric(7, 2))
    sets_snapshot: Mapped[int | None] = mapped_column(SmallInteger)
    reps_min_snapshot: Mapped[int | None] = mapped_column(SmallInteger)
    reps_max_snapshot: Mapped[int | None] = mapped_column(SmallInteger)
    target_time_seconds_snapshot: Mapped[int | None] = mapped_column(SmallInteger)
    target_distance_km_snapshot: Mapped[Decimal | None] = mapped_column(Numeric(7, 3))
    rest_seconds_snapshot: Mapped[int | None] = mapped_column(SmallInteger)
    superset_group: Mapped[int | None] = mapped_column(SmallInteger)

    sets: Mapped[list["TrainingSessionSet"]] = relationship(
        lazy="raise", cascade="all, delete-orphan", passive_deletes=True, order_by="TrainingSessionSet.order_index"
    )


class TrainingSessionSet(Base):
    """A set as it was done: only the metric of its exercise's mode, and a weight in any mode.

    Attributes:
        weight: kilograms.
        rpe: rating of perceived exertion, 1 to 10 in halves; 10 less the repetitions that were left in reserve.
        rest_seconds: the rest after the set.
    """

    __tablename__ = "training_session_sets"
    __table_args__ = (
        UniqueConstraint(
            "session_exercise_id", "order_index", info={"field": "body", "message": "This place is taken."}
        ),
        ForeignKeyConstraint(
            ["session_exercise_id", "mode"],
            ["training_session_exercises.id", "training_session_exercises.mode_snapshot"],
            ondelete="CASCADE",
            onupdate="RESTRICT",
            info={"field": "mode", "message": "The mode can't change while there are sets."},
        ),
        named_check(
            "check_set_performance",
            "num_nonnulls(reps_completed, time_seconds, distance_km) <= 1"
            " AND reps_completed >= 0 AND time_seconds > 0 AND distance_km > 0",
            "body",
            "A set has one result at most: repsCompleted from 0, timeSeconds or distanceKm above 0.",
        ),
        named_check(
            "check_set_mode",
            "CASE mode"
            " WHEN 'reps' THEN num_nonnulls(time_seconds, distance_km) = 0"
            " WHEN 'time' THEN num_nonnulls(reps_completed, distance_km) = 0"
            " WHEN 'distance' THEN num_nonnulls(reps_completed, time_seconds) = 0"
            " WHEN 'sets_only' THEN num_nonnulls(reps_completed, time_seconds, distance_km) = 0"
            " END",
            "body",
            "Only the result of the exercise's mode is allowed.",
        ),
        order_in_parent(100, "sets in an exercise"),
        amount("weight", 0, "99999.99"),
        amount("distance_km", "0.001", "9999.999"),
        named_check(
            "check_set_rpe", "rpe BETWEEN 1 AND 10 AND rpe * 2 = trunc(rpe * 2)", "rpe", "Expected 1 to 10 in halves."
        ),
        amount("rest_seconds", 0),
        long_text("note"),
        *instants("completed_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
    session_exercise_id: Mapped[int] = mapped_column(BigInteger)
    mode: Mapped[ExerciseMode] = mapped_column(text_enum(ExerciseMode, "mode"))
    order_index: Mapped[int] = mapped_column(SmallInteger)
    weight: Mapped[Decimal | None] = mapped_column(Numeric(7, 2))
    reps_completed: Mapped[int | None] = mapped_column(SmallInteger)
    time_seconds: Mapped[int | None] = mapped_column(SmallInteger)
    distance_km: Mapped[Decimal | None] = mapped_column(Numeric(7, 3))
    set_type: Mapped[SetType | None] = mapped_column(text_enum(SetType, "set_type"))
    rpe: Mapped[Decimal | None] = mapped_column(Numeric(3, 1))
    rest_seconds: Mapped[int | None] = mapped_column(SmallInteger)
    completed_at: Mapped[datetime | None]
    note: Mapped[str | None] = mapped_column(Text)
