"""Training sessions on the wire."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Self
from uuid import UUID

from litestar.openapi.spec import OpenAPIType, Schema
from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.domain.history.models import ExerciseMode, SessionStatus, SetType
from app.domain.training.models import MAX_DAYS
from app.errors import RuleBroken
from app.http.dto import Input
from app.http.fields import (
    BigRowId,
    Count,
    FieldError,
    Instant,
    Kilograms,
    Kilometres,
    Line,
    LongText,
    Measure,
    Name,
    Number,
    RowId,
    Seconds,
    UUIDv7,
)

__all__ = (
    "MAX_CHILDREN",
    "DoneDay",
    "DoneSet",
    "ExerciseStatistics",
    "NewSession",
    "NewSessionExercise",
    "NewSet",
    "NextDay",
    "Order",
    "PlanDay",
    "PlanProgress",
    "PlannedTargets",
    "PreviousExercise",
    "PreviousSets",
    "SessionChange",
    "SessionEnd",
    "SessionExercise",
    "SessionExerciseChange",
    "SessionFilters",
    "SessionSet",
    "SetChange",
    "TrainingSession",
    "TrainingStatistics",
    "WholeExercise",
    "WholeSession",
    "WholeSet",
    "WholeTargets",
)

MAX_CHILDREN = 100
"""Exercises in a session, and sets in each of them."""

Position = Annotated[int, Meta(ge=1, le=MAX_CHILDREN)]
SupersetGroup = Annotated[int, Meta(ge=1, le=MAX_CHILDREN)]


class Effort(Measure):
    """How hard it felt, 1 to 10."""

    step, least, most = Decimal("0.1"), Decimal(1), Decimal(10)
    schema = Schema(type=OpenAPIType.NUMBER, minimum=1, maximum=10)


class Exertion(Effort):
    """The exertion of a set, 1 to 10 in halves."""

    schema = Schema(type=OpenAPIType.NUMBER, minimum=1, maximum=10, multiple_of=0.5)

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Round, then check bounds and halves."""
        number = super().from_wire(value)
        if number * 2 % 1:
            raise FieldError("range", "Expected 1 to 10 in halves.")
        return number


class Source(Line):
    """Where something comes from, 1 to 50 characters."""

    longest = 50
    schema = Schema(type=OpenAPIType.STRING, min_length=1, max_length=50)


class PlannedTargets(Struct, rename="camel"):
    """What the template asked for when the session was started; all null for an exercise that was not planned."""

    order_index: int | None
    target_weight: Number | None
    sets: int | None
    reps_min: int | None
    reps_max: int | None
    target_time_seconds: int | None
    target_distance_km: Number | None
    rest_seconds: int | None


class SessionSet(Struct, rename="camel"):
    """One set as it was done.

    Attributes:
        weight: kilograms.
        set_type: statistics leave warm-ups out.
        rpe: rating of perceived exertion, 1 to 10 in halves.
        rest_seconds: the rest after it.
    """

    id: int
    order_index: int
    weight: Number | None
    reps_completed: int | None
    time_seconds: int | None
    distance_km: Number | None
    set_type: str | None
    rpe: Number | None
    rest_seconds: int | None
    completed_at: datetime | None
    note: str | None


class SessionExercise(Struct, rename="camel"):
    """An exercise of a session, with its sets in order.

    Attributes:
        exercise_id: null for a name alone, and after the exercise was deleted.
        exercise_name: as it was when the exercise was added.
        superset_group: exercises of the same number are done in turns.
    """

    id: int
    exercise_id: UUID | None
    exercise_name: str
    planned_unit_exercise_id: int | None
    mode: str
    order_index: int
    superset_group: int | None
    planned: PlannedTargets
    sets: list[SessionSet]


class TrainingSession(Struct, rename="camel", kw_only=True):
    """A training session: what was done, whatever becomes of the templates and exercises later.

    Attributes:
        perceived_effort: of the whole session, 1 to 10.
        source: where an imported session comes from; with external_id, its id there.
        local_date: the day of the start in the session's time zone.
        duration_seconds: real time from start to end, of a completed session.
    """

    id: UUID
    status: str
    training_plan_id: UUID | None
    training_unit_id: UUID | None
    plan_unit_id: int | None
    plan_name: str | None
    unit_name: str | None
    day_number: int | None
    start_time: datetime
    end_time: datetime | None
    user_timezone: str
    local_date: date
    duration_seconds: int | None
    notes: str | None
    perceived_effort: Number | None
    source: str | None
    external_id: str | None
    client_revision: int | None
    exercises: list[SessionExercise]
    created_at: datetime
    updated_at: datetime


class PreviousSets(Struct, rename="camel"):
    """The sets of an exercise in the last session before another one."""

    session_id: UUID
    start_time: datetime
    local_date: date
    sets: list[SessionSet]


class PreviousExercise(Struct, rename="camel"):
    """An exercise of a session, and what was done of it the last time.

    Attributes:
        id: of the exercise in the session.
        previous: null when it was never done before.
    """

    id: int
    exercise_id: UUID | None
    exercise_name: str
    previous: PreviousSets | None


class DoneDay(Struct, rename="camel"):
    """The session that was the last to do a day of a plan."""

    session_id: UUID
    local_date: date


class PlanDay(Struct, rename="camel"):
    """A unit on a day of a plan, and how often the caller has completed it.

    Attributes:
        plan_unit_id: what a session is started from.
        is_done: in the current round.
    """

    plan_unit_id: int
    training_unit_id: UUID
    unit_name: str
    day_number: int
    order_index: int
    times_done: int
    last_done: DoneDay | None
    is_done: bool = False


class PlanProgress(Struct, rename="camel"):
    """How far the caller has come in a plan.

    Attributes:
        round: from 1; a round ends when every day was done once more.
        total: units on days of the plan.
        done: those of them that are done in this round.
    """

    training_plan_id: UUID
    plan_name: str
    round: int
    total: int
    done: int
    days: list[PlanDay]


class NextDay(Struct, rename="camel"):
    """The day of a plan that comes next for the caller: the first that is not done in this round.

    Attributes:
        next: null for a plan without days.
    """

    training_plan_id: UUID
    plan_name: str
    round: int
    next: PlanDay | None


class ExerciseStatistics(Struct, rename="camel", kw_only=True):
    """What somebody has done of one exercise, warm-ups left out.

    Attributes:
        exercise_id: null for a name alone.
        exercise_name: as it was the last time.
        sessions: those that it was done in.
        volume_kg: weight times reps, summed over sets.
        heaviest_kg: the greatest weight that was moved at least once.
        one_rep_max_kg: the greatest estimate of what could be lifted once, from sets of 1 to 12 reps: the weight itself
            for one rep, else weight · (1 + reps / 30), after Epley (Poundage Chart, 1985).
        last_date: the local date of the last time.
    """

    exercise_id: UUID | None
    exercise_name: str
    sessions: int
    sets: int
    reps_completed: int
    time_seconds: int
    distance_km: Number
    volume_kg: Number
    heaviest_kg: Number | None
    one_rep_max_kg: Number | None
    last_date: date


class TrainingStatistics(Struct, rename="camel", kw_only=True):
    """What somebody's completed sessions add up to, warm-ups left out.

    Attributes:
        duration_seconds: real time from start to end, summed over sessions.
        volume_kg: weight times reps, summed over sets.
        exercises: what most sets were done of comes first.
    """

    sessions: int
    duration_seconds: int
    sets: int
    reps_completed: int
    time_seconds: int
    distance_km: Number
    volume_kg: Number
    exercises: list[ExerciseStatistics]


class NewSession(Input):
    """A session to begin.

    Attributes:
        id: made by the client, so that it can be sent again; else made here.
        user_timezone: the user's own when absent.
        start_time: now when absent; at most 24 hours ahead.
    """

    id: UUIDv7 | None = None
    training_plan_id: UUID | None = None
    training_unit_id: UUID | None = None
    plan_unit_id: RowId | None = None
    user_timezone: Name | None = None
    start_time: Instant | None = None
    notes: LongText | None = None
    perceived_effort: Effort | None = None
    source: Source | None = None
    external_id: Line | None = None

    def __post_init__(self) -> None:
        if self.training_plan_id and not (self.training_unit_id or self.plan_unit_id):
            raise RuleBroken.of("body", "A session from a plan needs a trainingUnitId or a planUnitId of it.")


class SessionChange(Input):
    """Changes of a session of any status. Its status changes through complete and abort alone.

    Attributes:
        exercises: as they are, where a client sends back all that it got; they are changed through their own routes.
    """

    read_only: ClassVar[frozenset[str]] = frozenset(
        {
            "id",
            "status",
            "trainingPlanId",
            "trainingUnitId",
            "planUnitId",
            "planName",
            "unitName",
            "dayNumber",
            "localDate",
            "durationSeconds",
            "clientRevision",
            "createdAt",
            "updatedAt",
        }
    )

    start_time: Instant | UnsetType = UNSET
    end_time: Instant | UnsetType | None = UNSET
    user_timezone: Name | UnsetType = UNSET
    notes: LongText | UnsetType | None = UNSET
    perceived_effort: Effort | UnsetType | None = UNSET
    source: Source | UnsetType | None = UNSET
    external_id: Line | UnsetType | None = UNSET
    exercises: list[SessionExercise] | UnsetType = UNSET


class SessionEnd(Input):
    """When a session was completed; now when absent."""

    end_time: Instant | None = None


class NewSessionExercise(Input):
    """An exercise to add: one of the catalogue, or a name alone.

    Attributes:
        exercise_name: of an exercise that is not in the catalogue; with an exerciseId, that one's name is taken.
        mode: the exercise's default mode when absent; reps for a name alone.
        position: from 1; at the end when absent or beyond it.
    """

    exercise_id: UUID | None = None
    exercise_name: Name | None = None
    mode: ExerciseMode | None = None
    superset_group: SupersetGroup | None = None
    position: Position | None = None

    def __post_init__(self) -> None:
        if self.exercise_id is None and self.exercise_name is None:
            raise RuleBroken.of("body", "An exerciseId or an exerciseName is required.", "missing")


class SessionExerciseChange(Input):
    """Changes of an exercise of a session.

    Attributes:
        exercise_id: another one brings its own name; null keeps the name alone.
        mode: may change while there are no sets.
        sets: as they are, where a client sends back all that it got; they are changed through their own routes.
    """

    read_only: ClassVar[frozenset[str]] = frozenset({"id", "orderIndex", "planned", "plannedUnitExerciseId"})

    exercise_id: UUID | UnsetType | None = UNSET
    exercise_name: Name | UnsetType = UNSET
    mode: ExerciseMode | UnsetType = UNSET
    superset_group: SupersetGroup | UnsetType | None = UNSET
    sets: list[SessionSet] | UnsetType = UNSET


class DoneSet(Input):
    """A set as it was done. Only the metric of the exercise's mode is allowed; a weight is allowed in every mode."""

    weight: Kilograms | None = None
    reps_completed: Count | None = None
    time_seconds: Seconds | None = None
    distance_km: Kilometres | None = None
    set_type: SetType | None = None
    rpe: Exertion | None = None
    rest_seconds: Count | None = None
    completed_at: Instant | None = None
    note: LongText | None = None


class NewSet(DoneSet):
    """A set to add.

    Attributes:
        position: from 1; at the end when absent or beyond it.
    """

    position: Position | None = None


class SetChange(Input):
    """Changes of a set; null clears."""

    read_only: ClassVar[frozenset[str]] = frozenset({"id", "orderIndex"})

    weight: Kilograms | UnsetType | None = UNSET
    reps_completed: Count | UnsetType | None = UNSET
    time_seconds: Seconds | UnsetType | None = UNSET
    distance_km: Kilometres | UnsetType | None = UNSET
    set_type: SetType | UnsetType | None = UNSET
    rpe: Exertion | UnsetType | None = UNSET
    rest_seconds: Count | UnsetType | None = UNSET
    completed_at: Instant | UnsetType | None = UNSET
    note: LongText | UnsetType | None = UNSET


class WholeSet(DoneSet):
    """A set of a whole session.

    Attributes:
        id: of the set that this is; without it, the one in the same place.
    """

    read_only: ClassVar[frozenset[str]] = frozenset({"orderIndex"})

    id: BigRowId | None = None


class WholeTargets(Input):
    """What a template asked for, as a client copied it."""

    order_index: Position | None = None
    target_weight: Kilograms | None = None
    sets: Annotated[int, Meta(ge=1, le=MAX_CHILDREN)] | None = None
    reps_min: Count | None = None
    reps_max: Count | None = None
    target_time_seconds: Seconds | None = None
    target_distance_km: Kilometres | None = None
    rest_seconds: Count | None = None


class WholeExercise(Input):
    """An exercise of a whole session.

    Attributes:
        id: of the exercise that this is; without it, the one in the same place.
        exercise_name: absent: as it is, or the exercise's own.
        mode: absent: as it is, or the exercise's default mode; reps for a name alone.
        planned_unit_exercise_id: absent: as it is; null cuts the link. One that the session's unit does not have is
            left out.
        planned: absent: as it is.
    """

    read_only: ClassVar[frozenset[str]] = frozenset({"orderIndex"})

    id: BigRowId | None = None
    exercise_id: UUID | None = None
    exercise_name: Name | None = None
    planned_unit_exercise_id: RowId | UnsetType | None = UNSET
    mode: ExerciseMode | None = None
    superset_group: SupersetGroup | None = None
    planned: WholeTargets | UnsetType = UNSET
    sets: Annotated[list[WholeSet], Meta(max_length=MAX_CHILDREN)] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.exercise_id is None and self.exercise_name is None:
            raise RuleBroken.of("body", "An exerciseId or an exerciseName is required.", "missing")


class WholeSession(Input):
    """A session as a client has it, with all its exercises and sets.

    Attributes:
        training_plan_id: with training_unit_id, plan_unit_id and their names, what the session was started from.
            Absent: as it is; null cuts the link. A link that is new, and that the caller can't read (any more), is
            left out, and the names stay: what was trained offline is never lost over what became of its template.
            A new link brings its name unless one is sent. A day is looked for in the plan that is sent with it.
        start_time: absent: as it is; now for a new session.
        user_timezone: absent: as it is; the user's own for a new session.
        client_revision: counted up by the client with each change. A lower one than the stored changes nothing.
    """

    read_only: ClassVar[frozenset[str]] = frozenset({"id", "localDate", "durationSeconds", "createdAt", "updatedAt"})

    status: SessionStatus = SessionStatus.IN_PROGRESS
    training_plan_id: UUID | UnsetType | None = UNSET
    training_unit_id: UUID | UnsetType | None = UNSET
    plan_unit_id: RowId | UnsetType | None = UNSET
    plan_name: Name | UnsetType | None = UNSET
    unit_name: Name | UnsetType | None = UNSET
    day_number: Annotated[int, Meta(ge=1, le=MAX_DAYS)] | UnsetType | None = UNSET
    start_time: Instant | None = None
    end_time: Instant | None = None
    user_timezone: Name | None = None
    notes: LongText | None = None
    perceived_effort: Effort | None = None
    source: Source | None = None
    external_id: Line | None = None
    client_revision: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    exercises: Annotated[list[WholeExercise], Meta(max_length=MAX_CHILDREN)] = field(default_factory=list)


class Order(Input):
    """The ids of all children in their new order, each once."""

    ids: Annotated[list[BigRowId], Meta(max_length=MAX_CHILDREN)]


class SessionFilters(Struct, frozen=True):
    """Which sessions a list shows; repeated values of one filter are OR.

    Attributes:
        since: the first local date.
        until: the last local date.
    """

    since: date | None = None
    until: date | None = None
    status: tuple[SessionStatus, ...] = ()
    training_plan_id: tuple[UUID, ...] = ()
    training_unit_id: tuple[UUID, ...] = ()
    exercise_id: tuple[UUID, ...] = ()

    @classmethod
    def of(
        cls,
        since: date | None,
        until: date | None,
        status: Iterable[SessionStatus] | None,
        training_plan_id: Iterable[UUID] | None,
        training_unit_id: Iterable[UUID] | None,
        exercise_id: Iterable[UUID] | None,
    ) -> Self:
        """The filters of a query, each value once and sorted, so that a cursor fits however they are written."""
        return cls(
            since,
            until,
            tuple(sorted(set(status or ()))),
            tuple(sorted(set(training_plan_id or ()))),
            tuple(sorted(set(training_unit_id or ()))),
            tuple(sorted(set(exercise_id or ()))),
        )
