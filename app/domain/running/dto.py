"""Running plans, workouts and runs on the wire."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self
from uuid import UUID

from litestar.openapi.spec import OpenAPIType, Schema
from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.db.paging import SortOrder
from app.domain.history.dto import Effort
from app.domain.running.models import RunningPlanStatus, RunSource, WorkoutType
from app.http.dto import Input
from app.http.fields import Instant, Kilometres, Line, LongText, Measure, Name, Number

__all__ = (
    "CalendarAddress",
    "NewPlanWorkout",
    "NewRun",
    "NewRunningPlan",
    "NewRunningWorkout",
    "NewSplit",
    "PlanSort",
    "RecordedRun",
    "Run",
    "RunChange",
    "RunFilters",
    "RunningPlan",
    "RunningPlanChange",
    "RunningPlanFilters",
    "RunningWorkout",
    "RunningWorkoutChange",
    "RunningWorkoutFilters",
    "Split",
    "WholeRun",
)

_LONGEST_SECONDS: Final = 2**31 - 1
_MOST_SPLITS: Final = 1001

WholeSeconds = Annotated[int, Meta(ge=1, le=_LONGEST_SECONDS)]
HeartRate = Annotated[int, Meta(ge=25, le=250)]
Pace = Annotated[float, Meta(ge=60, le=3600, description="Seconds per kilometre.")]
TargetPace = Annotated[int, Meta(ge=100, le=2000, description="Seconds per kilometre.")]
CalendarDate = Annotated[date, Meta(description="In the years 1970 to 2100.")]


class RunKilometres(Measure):
    """The distance of a run, 0.05 to 1,000 km."""

    step, least, most = Decimal("0.001"), Decimal("0.05"), Decimal(1000)
    schema = Schema(type=OpenAPIType.NUMBER, minimum=0.05, maximum=1000, description="Kilometres.")


class SplitKilometres(Measure):
    """The distance of a split, up to a kilometre."""

    step, least, most = Decimal("0.001"), Decimal("0.001"), Decimal(1)
    schema = Schema(type=OpenAPIType.NUMBER, minimum=0.001, maximum=1, description="Kilometres.")


class Ascent(Measure):
    """Metres upwards, 0 to 99,999.9."""

    step, least, most = Decimal("0.1"), Decimal(0), Decimal("99999.9")
    schema = Schema(type=OpenAPIType.NUMBER, minimum=0, maximum=99999.9, description="Metres.")


class RunningPlan(Struct, rename="camel", kw_only=True):
    """A running plan: its workouts have their own routes."""

    id: UUID
    name: str
    description: str | None
    start_date: date
    end_date: date
    goal_race_date: date | None
    status: RunningPlanStatus
    created_at: datetime
    updated_at: datetime


class RunningWorkout(Struct, rename="camel", kw_only=True):
    """A workout of a running plan.

    Attributes:
        target_pace_min_sec: the faster end of the target, in s/km.
    """

    id: UUID
    plan_id: UUID
    name: str
    workout_type: WorkoutType
    planned_distance_km: Number | None
    target_pace_min_sec: int | None
    target_pace_max_sec: int | None
    scheduled_date: date | None
    notes: str | None
    created_at: datetime
    updated_at: datetime


class Split(Struct, rename="camel", kw_only=True):
    """One kilometre of a run; the last one may be shorter."""

    distance_km: Number
    duration_seconds: int
    elevation_gain_m: Number | None = None
    avg_heart_rate: int | None = None


class Run(Struct, rename="camel", kw_only=True):
    """A run as it was recorded.

    Attributes:
        local_date: the day of the start in the run's time zone.
        duration_seconds: the time that counts: in motion, where that was recorded.
        pace_sec_per_km: duration / distance.
        pace_str: the same, rounded to a second, such as "5:04/km".
        matches_target: whether pace and distance are what the workout asked for; null without a target.
        elapsed_seconds: from start to end, pauses included.
    """

    id: UUID
    plan_id: UUID | None
    workout_id: UUID | None
    started_at: datetime
    user_timezone: str
    local_date: date
    distance_km: Number
    duration_seconds: int
    pace_sec_per_km: Number
    pace_str: str
    matches_target: bool | None
    elapsed_seconds: int | None
    avg_heart_rate: int | None
    elevation_gain_m: Number | None
    perceived_effort: Number | None
    source: RunSource
    external_id: str | None
    notes: str | None
    splits: list[Split] | None
    created_at: datetime
    updated_at: datetime


class RecordedRun(Run, kw_only=True):
    """A run that was just recorded.

    Attributes:
        auto_matched: whether it was linked to its workout by its day.
    """

    auto_matched: bool


_OWN_RUN_FIELDS: Final = frozenset(
    {"id", "localDate", "paceStr", "matchesTarget", "autoMatch", "autoMatched", "createdAt", "updatedAt"}
)
_OWN_FIELDS: Final = frozenset({"id", "createdAt", "updatedAt"})


class NewRunningPlan(Input, kw_only=True):
    """A running plan, whole."""

    read_only: ClassVar[frozenset[str]] = _OWN_FIELDS

    name: Line
    description: LongText | None = None
    start_date: CalendarDate
    end_date: CalendarDate
    goal_race_date: CalendarDate | None = None
    status: RunningPlanStatus = RunningPlanStatus.DRAFT


class RunningPlanChange(Input, kw_only=True):
    """Changes of a running plan; the plan that they make is checked as a new one."""

    read_only: ClassVar[frozenset[str]] = _OWN_FIELDS

    name: Line | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    start_date: CalendarDate | UnsetType = UNSET
    end_date: CalendarDate | UnsetType = UNSET
    goal_race_date: CalendarDate | UnsetType | None = UNSET
    status: RunningPlanStatus | UnsetType = UNSET


class NewPlanWorkout(Input, kw_only=True):
    """A workout of the plan that the path names, whole.

    Attributes:
        plan_id: may be left out.
        planned_distance_km: required for easy, tempo, long, speed and recovery; not allowed for rest.
        target_pace_min_sec: the faster end of the target; both ends or neither.
        scheduled_date: inside the plan.
    """

    read_only: ClassVar[frozenset[str]] = _OWN_FIELDS

    plan_id: UUID | None = None
    name: Line
    workout_type: WorkoutType
    planned_distance_km: Kilometres | None = None
    target_pace_min_sec: TargetPace | None = None
    target_pace_max_sec: TargetPace | None = None
    scheduled_date: CalendarDate | None = None
    notes: LongText | None = None


class NewRunningWorkout(NewPlanWorkout, kw_only=True):
    """A workout of a plan, whole.

    Attributes:
        plan_id: the plan that it is of, for good.
    """

    plan_id: UUID


class RunningWorkoutChange(Input, kw_only=True):
    """Changes of a workout; the workout that they make is checked as a new one."""

    read_only: ClassVar[frozenset[str]] = _OWN_FIELDS

    plan_id: UUID | UnsetType = UNSET
    name: Line | UnsetType = UNSET
    workout_type: WorkoutType | UnsetType = UNSET
    planned_distance_km: Kilometres | UnsetType | None = UNSET
    target_pace_min_sec: TargetPace | UnsetType | None = UNSET
    target_pace_max_sec: TargetPace | UnsetType | None = UNSET
    scheduled_date: CalendarDate | UnsetType | None = UNSET
    notes: LongText | UnsetType | None = UNSET


class NewSplit(Input, kw_only=True):
    """One kilometre of a run; the last one may be shorter."""

    distance_km: SplitKilometres = field(default_factory=lambda: SplitKilometres(1))
    duration_seconds: WholeSeconds
    elevation_gain_m: Ascent | None = None
    avg_heart_rate: HeartRate | None = None


NewSplits = Annotated[list[NewSplit], Meta(min_length=1, max_length=_MOST_SPLITS)]


class WholeRun(Input, kw_only=True):
    """A run, whole.

    Attributes:
        plan_id: the plan that it belongs to; the workout's when there is one.
        user_timezone: the user's own when absent.
        started_at: at most 24 hours ahead.
        duration_seconds: this or the pace is required; where both are sent they agree within 1 s/km, and the duration
            wins.
        elapsed_seconds: from start to end, pauses included.
        external_id: its id at the source; nobody has the same one twice.
        splits: kilometre by kilometre. They add up to the run within a metre and a second for each.
    """

    read_only: ClassVar[frozenset[str]] = _OWN_RUN_FIELDS

    plan_id: UUID | None = None
    workout_id: UUID | None = None
    started_at: Instant
    user_timezone: Name | None = None
    distance_km: RunKilometres
    duration_seconds: WholeSeconds | None = None
    pace_sec_per_km: Pace | None = None
    elapsed_seconds: WholeSeconds | None = None
    avg_heart_rate: HeartRate | None = None
    elevation_gain_m: Ascent | None = None
    perceived_effort: Effort | None = None
    source: RunSource = RunSource.MANUAL
    external_id: Line | None = None
    notes: LongText | None = None
    splits: NewSplits | None = None


class NewRun(WholeRun, kw_only=True):
    """A run to record.

    Attributes:
        auto_match: whether, without a workoutId, it is linked to an unfulfilled workout of its day.
    """

    read_only: ClassVar[frozenset[str]] = _OWN_RUN_FIELDS - {"autoMatch"}

    auto_match: bool = True


class RunChange(Input, kw_only=True):
    """Changes of a run; the run that they make is checked as a new one.

    Attributes:
        workout_id: brings its plan with it.
        pace_sec_per_km: without a duration, the duration follows from it.
    """

    read_only: ClassVar[frozenset[str]] = _OWN_RUN_FIELDS

    plan_id: UUID | UnsetType | None = UNSET
    workout_id: UUID | UnsetType | None = UNSET
    started_at: Instant | UnsetType = UNSET
    user_timezone: Name | UnsetType = UNSET
    distance_km: RunKilometres | UnsetType = UNSET
    duration_seconds: WholeSeconds | UnsetType = UNSET
    pace_sec_per_km: Pace | UnsetType = UNSET
    elapsed_seconds: WholeSeconds | UnsetType | None = UNSET
    avg_heart_rate: HeartRate | UnsetType | None = UNSET
    elevation_gain_m: Ascent | UnsetType | None = UNSET
    perceived_effort: Effort | UnsetType | None = UNSET
    source: RunSource | UnsetType = UNSET
    external_id: Line | UnsetType | None = UNSET
    notes: LongText | UnsetType | None = UNSET
    splits: NewSplits | UnsetType | None = UNSET


class CalendarAddress(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """The link by which calendars read a plan.

    Attributes:
        token: told when the link is made, and never again.
        path: where the calendar is.
    """

    token: str | None = None
    path: str | None = None
    created_at: datetime


class PlanSort(StrEnum):
    """What running plans are sorted by."""

    START_DATE = "startDate"
    NAME = "name"
    CREATED_AT = "createdAt"


class RunningPlanFilters(Struct, frozen=True, kw_only=True):
    """Which running plans a list shows, and in which order.

    Attributes:
        since: with until, plans of which at least a day lies between them, both included.
    """

    status: tuple[RunningPlanStatus, ...] = ()
    since: date | None = None
    until: date | None = None
    search: str = ""
    order_by: PlanSort = PlanSort.START_DATE
    order: SortOrder = SortOrder.DESC


class RunningWorkoutFilters(Struct, frozen=True, kw_only=True):
    """Which workouts a list shows."""

    plan_id: tuple[UUID, ...] = ()
    workout_type: tuple[WorkoutType, ...] = ()
    since: date | None = None
    until: date | None = None


class RunFilters(Struct, frozen=True, kw_only=True):
    """Which runs a list shows; repeated values of one filter are OR."""

    plan_id: tuple[UUID, ...] = ()
    workout_id: tuple[UUID, ...] = ()
    source: tuple[RunSource, ...] = ()
    since: date | None = None
    until: date | None = None
    least_km: Decimal | None = None
    most_km: Decimal | None = None

    @classmethod
    def of(
        cls,
        plan_id: Iterable[UUID] | None,
        workout_id: Iterable[UUID] | None,
        source: Iterable[RunSource] | None,
        since: date | None,
        until: date | None,
        least_km: Decimal | None,
        most_km: Decimal | None,
    ) -> Self:
        """The filters of a query, each value once and sorted, so that a cursor fits however they are written."""
        return cls(
            plan_id=tuple(sorted(set(plan_id or ()))),
            workout_id=tuple(sorted(set(workout_id or ()))),
            source=tuple(sorted(set(source or ()))),
            since=since,
            until=until,
            least_km=least_km,
            most_km=most_km,
        )
