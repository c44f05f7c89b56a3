"""Running plans, their workouts, and runs. Canonical units: kilometres, seconds, seconds per kilometre."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
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
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, RootMixin, UUIDKey, text_enum
from app.db.changes import ChangesMixin, changes_index
from app.db.constraints import amount, calendar_dates, instants, line, long_text, named_check, time_zone

__all__ = (
    "CalendarLink",
    "PlanRunTotals",
    "Run",
    "RunPeriod",
    "RunSource",
    "RunTotals",
    "RunningPlan",
    "RunningPlanStatus",
    "RunningWorkout",
    "WorkoutType",
)


class RunningPlanStatus(StrEnum):
    """How far a plan has come."""

    DRAFT = "draft"
    ACTIVE = "active"
    COMPLETED = "completed"
    ABANDONED = "abandoned"


class WorkoutType(StrEnum):
    """What a workout trains; the first five are the running types."""

    EASY = "easy"
    TEMPO = "tempo"
    LONG = "long"
    SPEED = "speed"
    RECOVERY = "recovery"
    CROSS_TRAINING = "cross_training"
    REST = "rest"


class RunSource(StrEnum):
    """Where a run was recorded."""

    MANUAL = "manual"
    STRAVA = "strava"
    GPX = "gpx"
    TCX = "tcx"
    FIT = "fit"
    CSV = "csv"


class RunPeriod(StrEnum):
    """What runs are added up over. Days make ISO weeks, these make ISO years, and all of them make ever."""

    DAY = "day"
    WEEK = "week"
    YEAR = "year"
    EVER = "ever"


class RunningPlan(RootMixin, Base):
    """A training plan towards a race or for its own sake."""

    __tablename__ = "running_plans"
    __table_args__ = (
        named_check(
            "check_plan_dates",
            "end_date > start_date AND end_date - start_date <= 366",
            "endDate",
            "Expected a date after startDate, at most 366 days later.",
        ),
        line("name"),
        long_text("description"),
        *calendar_dates("start_date", "end_date", "goal_race_date"),
    )

    id: Mapped[UUIDKey]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="RESTRICT"), index=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    start_date: Mapped[date]
    end_date: Mapped[date]
    goal_race_date: Mapped[date | None]
    status: Mapped[RunningPlanStatus] = mapped_column(text_enum(RunningPlanStatus, "status"), server_default="draft")

    workouts: Mapped[list["RunningWorkout"]] = relationship(
        lazy="raise", cascade="all, delete-orphan", passive_deletes=True, order_by="RunningWorkout.scheduled_date"
    )


class RunningWorkout(RootMixin, Base):
    """A workout of a plan. The trigger `check_workout_date` keeps its date inside the plan's.

    Attributes:
        target_pace_min_sec: the faster end of the target, seconds per kilometre.
    """

    __tablename__ = "running_workouts"
    __table_args__ = (
        UniqueConstraint("id", "plan_id"),
        Index("ix_running_workouts_plan_id", "plan_id", "scheduled_date"),
        named_check(
            "check_planned_distance",
            "CASE WHEN workout_type IN ('easy', 'tempo', 'long', 'speed', 'recovery')"
            " THEN planned_distance_km IS NOT NULL"
            " WHEN workout_type = 'rest' THEN planned_distance_km IS NULL ELSE true END",
            "plannedDistanceKm",
            "A workout that is run has a distance; a rest has none.",
        ),
        named_check(
            "check_target_pace",
            "(target_pace_min_sec IS NULL) = (target_pace_max_sec IS NULL)"
            " AND target_pace_min_sec BETWEEN 100 AND 2000 AND target_pace_max_sec BETWEEN 100 AND 2000"
            " AND target_pace_min_sec <= target_pace_max_sec",
            "targetPaceMaxSec",
            "Expected both ends of the pace or neither, 100 to 2000 s/km, the faster one first.",
        ),
        line("name"),
        long_text("notes"),
        amount("planned_distance_km", "0.001", "9999.999"),
        *calendar_dates("scheduled_date"),
    )

    id: Mapped[UUIDKey]
    plan_id: Mapped[UUID] = mapped_column(ForeignKey("running_plans.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    workout_type: Mapped[WorkoutType] = mapped_column(text_enum(WorkoutType, "workout_type"))
    planned_distance_km: Mapped[Decimal | None] = mapped_column(Numeric(7, 3))
    target_pace_min_sec: Mapped[int | None] = mapped_column(SmallInteger)
    target_pace_max_sec: Mapped[int | None] = mapped_column(SmallInteger)
    scheduled_date: Mapped[date | None]
    notes: Mapped[str | None] = mapped_column(Text)


class Run(ChangesMixin, RootMixin, Base):
    """A run. Its pace is derived, never stored.

    Attributes:
        plan_id: with workout_id outlived by the run. A run with a workout has the workout's plan: the composite key and
            the trigger `check_run_plan` see to it.
        local_date: the day of the start in the run's own time zone.
        duration_seconds: the time that counts: in motion, where that was recorded.
        elapsed_seconds: from start to end, pauses included.
        splits: kilometre by kilometre, in the form of the API; the last one may be shorter. A run is read and written
            with its splits, and they are never asked for alone.
    """

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint(
            "user_id",
            "source",
            "external_id",
            info={"field": "externalId", "message": "This run was recorded already."},
        ),
        ForeignKeyConstraint(
            ["workout_id", "plan_id"],
            ["running_workouts.id", "running_workouts.plan_id"],
            ondelete="SET NULL (workout_id)",
            info={"field": "workoutId", "message": "There is no such workout in this plan."},
        ),
        Index("idx_runs_user_date", "user_id", "local_date", "id"),
        Index("idx_runs_user_start", "user_id", "started_at", "id"),
        changes_index("runs", "user_id"),
        *(
            Index(f"ix_runs_{column}", column, postgresql_where=text(f"{column} IS NOT NULL"))
            for column in ("plan_id", "workout_id")
        ),
        named_check(
            "check_run_pace",
            "duration_seconds BETWEEN 60 * distance_km AND 3600 * distance_km",
            "body",
            "Expected a pace of 60 to 3600 s/km.",
        ),
        named_check(
            "check_elapsed_time",
            "elapsed_seconds >= duration_seconds",
            "elapsedSeconds",
            "The time with all pauses is not shorter than the time without them.",
        ),
        named_check(
            "check_run_splits",
            "splits IS NULL OR splits_agree(splits, distance_km, duration_seconds)",
            "splits",
            "Expected one split for each kilometre, the last one maybe shorter, that add up to the run.",
        ),
        amount("distance_km", "0.05", 1000),
        amount("duration_seconds", 1, 2**31 - 1),
        amount("avg_heart_rate", 25, 250),
        amount("elevation_gain_m", 0, "99999.9"),
        amount("perceived_effort", 1, 10),
        line("external_id"),
        time_zone("user_timezone"),
        long_text("notes"),
        *instants("started_at"),
    )

    id: Mapped[UUIDKey]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="RESTRICT"))
    plan_id: Mapped[UUID | None] = mapped_column(ForeignKey("running_plans.id", ondelete="SET NULL"))
    workout_id: Mapped[UUID | None] = mapped_column(ForeignKey("running_workouts.id", ondelete="SET NULL"))
    started_at: Mapped[datetime]
    user_timezone: Mapped[str] = mapped_column(String(50))
    local_date: Mapped[date] = mapped_column(Computed("(started_at AT TIME ZONE user_timezone)::date", persisted=True))
    distance_km: Mapped[Decimal] = mapped_column(Numeric(7, 3))
    duration_seconds: Mapped[int]
    elapsed_seconds: Mapped[int | None]
    avg_heart_rate: Mapped[int | None] = mapped_column(SmallInteger)
    elevation_gain_m: Mapped[Decimal | None] = mapped_column(Numeric(6, 1))
    perceived_effort: Mapped[Decimal | None] = mapped_column(Numeric(3, 1))
    source: Mapped[RunSource] = mapped_column(text_enum(RunSource, "source"), server_default="manual")
    external_id: Mapped[str | None] = mapped_column(String(255))
    notes: Mapped[str | None] = mapped_column(Text)
    splits: Mapped[str | None] = mapped_column(JSONB(none_as_null=True))


class RunTotals(Base):
    """What the runs of somebody add up to in a period. Triggers keep it, in the transaction that changes the runs.

    Where several runs are equally good, the one that was recorded first is named.

    Attributes:
        starts_on: the first day of the period; of ever the first day there is.
        iso_weeks: of a year, a bit for each of its ISO weeks that has a run, the lowest for the first.
        fastest_1: the least pace, in s/km, of a run of at least one kilometre; so the others.
        best_effort: the least duration / distance^1.06, in seconds, of a run of at least three kilometres: the one from
            which Riegel's formula predicts the best times.
    """

    __tablename__ = "run_totals"
    __table_args__ = (
        amount("runs", 1, 2**31 - 1),
        amount("distance_km", "0.05", "999999999.999"),
        amount("longest", "0.05", 1000),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    period: Mapped[RunPeriod] = mapped_column(text_enum(RunPeriod, "period"), primary_key=True)
    starts_on: Mapped[date] = mapped_column(primary_key=True)
    runs: Mapped[int]
    distance_km: Mapped[Decimal] = mapped_column(Numeric(12, 3))
    duration_seconds: Mapped[int] = mapped_column(BigInteger)
    iso_weeks: Mapped[int | None] = mapped_column(BigInteger)
    longest: Mapped[Decimal] = mapped_column(Numeric(7, 3))
    longest_run: Mapped[UUID]
    fastest_1: Mapped[float | None] = mapped_column(Double)
    fastest_1_run: Mapped[UUID | None]
    fastest_5: Mapped[float | None] = mapped_column(Double)
    fastest_5_run: Mapped[UUID | None]
    fastest_10: Mapped[float | None] = mapped_column(Double)
    fastest_10_run: Mapped[UUID | None]
    fastest_half: Mapped[float | None] = mapped_column(Double)
    fastest_half_run: Mapped[UUID | None]
    fastest_marathon: Mapped[float | None] = mapped_column(Double)
    fastest_marathon_run: Mapped[UUID | None]
    best_effort: Mapped[float | None] = mapped_column(Double)
    best_effort_run: Mapped[UUID | None]


class PlanRunTotals(Base):
    """What the runs of a plan add up to, by the same triggers. A plan that never had runs has no row."""

    __tablename__ = "plan_run_totals"
    __table_args__ = (
        # A difference is checked before it is added to what is there.
        amount("runs", -(2**31 - 1), 2**31 - 1),
        amount("distance_km", "-999999999.999", "999999999.999"),
    )

    plan_id: Mapped[UUID] = mapped_column(ForeignKey("running_plans.id", ondelete="CASCADE"), primary_key=True)
    runs: Mapped[int]
    distance_km: Mapped[Decimal] = mapped_column(Numeric(12, 3))


class CalendarLink(Base):
    """The link by which a calendar reads a plan without signing in. Its token is told once, and is not kept."""

    __tablename__ = "calendar_link"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        CheckConstraint("length(token_hash) = 32", name="token_hash"),
    )

    plan_id: Mapped[UUID] = mapped_column(ForeignKey("running_plans.id", ondelete="CASCADE"), primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
