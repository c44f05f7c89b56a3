"""Units, plans, and who else may see them, on the wire."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.domain.catalogue.models import DifficultyLevel, ExerciseMode
from app.domain.training.access import Access, Scope
from app.domain.training.models import MAX_DAYS, MAX_UNITS, AccessLevel, SharingStatus
from app.errors import BrokenField, RuleBroken
from app.http.dto import Input
from app.http.fields import Count, Email, Instant, Kilograms, Kilometres, LongText, Name, Number, RowId, Seconds

__all__ = (
    "MAX_EXERCISES",
    "DayOrder",
    "ExerciseOrder",
    "Grant",
    "Link",
    "NewGrant",
    "NewLink",
    "NewPlan",
    "NewPlanUnit",
    "NewUnit",
    "NewUnitExercise",
    "PlanChange",
    "PlanDocument",
    "PlanUnit",
    "PlanUnitChange",
    "PlanUnitDocument",
    "PlanUnitEntry",
    "SharedExercise",
    "SharedPlan",
    "SharedPlanUnit",
    "SharedTemplate",
    "SharedUnit",
    "TemplateFilters",
    "TemplateSort",
    "TrainingPlan",
    "TrainingUnit",
    "UnitChange",
    "UnitDocument",
    "UnitExercise",
    "UnitExerciseChange",
    "UnitExerciseDocument",
    "UnitExerciseEntry",
    "UnitOrder",
)

MAX_EXERCISES = 100
"""Exercises in a unit."""

DayNumber = Annotated[int, Meta(ge=1, le=MAX_DAYS)]
SetCount = Annotated[int, Meta(ge=1, le=100)]
Superset = Annotated[int, Meta(ge=1, le=100, description="Exercises of the same number are done in turns.")]

_MADE_BY_US = frozenset({"id", "createdBy", "access", "createdAt", "updatedAt"})


class UnitExercise(Struct, rename="camel", kw_only=True):
    """An exercise of a unit, with its targets.

    Attributes:
        exercise_id: null for a name alone, and after the exercise was deleted.
        exercise_name: as it was when the exercise was added.
        target_weight: kilograms.
        rest_seconds: after each set.
    """

    id: int
    exercise_id: UUID | None
    exercise_name: str
    mode: ExerciseMode
    order_index: int
    notes: str | None
    target_weight: Number | None
    sets: int
    reps_min: int | None
    reps_max: int | None
    target_time_seconds: int | None
    target_distance_km: Number | None
    rest_seconds: int | None
    superset_group: int | None


class TrainingUnit(Struct, rename="camel", kw_only=True):
    """A training unit: one workout.

    Attributes:
        created_by: its owner; null for a public one whose owner has left.
        access: what the caller may do with it.
    """

    id: UUID
    name: str
    description: str | None
    sharing_status: SharingStatus
    created_by: UUID | None
    access: Access
    exercises: list[UnitExercise]
    created_at: datetime
    updated_at: datetime


class PlanUnit(Struct, rename="camel", kw_only=True):
    """A unit on a day of a plan.

    Attributes:
        unit_name: as the unit is called now.
        order_index: among the units of the day.
    """

    id: int
    training_unit_id: UUID
    unit_name: str
    day_number: int
    order_index: int


class TrainingPlan(Struct, rename="camel", kw_only=True):
    """A training plan: units over days; days without one are rest days.

    Attributes:
        created_by: its owner; null for a public one whose owner has left.
        access: what the caller may do with it.
    """

    id: UUID
    name: str
    description: str | None
    sharing_status: SharingStatus
    created_by: UUID | None
    access: Access
    difficulty_level: DifficultyLevel
    units: list[PlanUnit]
    created_at: datetime
    updated_at: datetime


_TARGETS = {
    ExerciseMode.REPS: ("repsMin", "repsMax"),
    ExerciseMode.TIME: ("targetTimeSeconds",),
    ExerciseMode.DISTANCE: ("targetDistanceKm",),
    ExerciseMode.SETS_ONLY: (),
}
"""The targets that each mode needs one of; sets_only has none of them all."""


class UnitExerciseEntry(Input):
    """An exercise in a document, at its place there: one of the catalogue, or a name alone.

    Attributes:
        exercise_name: of an exercise that is not in the catalogue; with an exerciseId, the name is the exercise's.
        mode: says which target there has to be.
    """

    mode: ExerciseMode
    exercise_id: UUID | None = None
    exercise_name: Name | None = None
    notes: LongText | None = None
    target_weight: Kilograms | None = None
    sets: SetCount = 1
    reps_min: Count | None = None
    reps_max: Count | None = None
    target_time_seconds: Seconds | None = None
    target_distance_km: Kilometres | None = None
    rest_seconds: Count | None = None
    superset_group: Superset | None = None

    def __post_init__(self) -> None:
        if broken := list(self._broken()):
            raise RuleBroken(broken)

    def _broken(self) -> Iterator[BrokenField]:
        if self.exercise_id is None and self.exercise_name is None:
            yield BrokenField("missing", "body", "An exerciseId or an exerciseName is required.")
        yield from self._broken_targets()
        if self.reps_min is not None and self.reps_max is not None and self.reps_min > self.reps_max:
            yield BrokenField("rule", "repsMax", "Expected at least repsMin.")

    def _broken_targets(self) -> Iterator[BrokenField]:
        targets = {
            "repsMin": self.reps_min,
            "repsMax": self.reps_max,
            "targetTimeSeconds": self.target_time_seconds,
            "targetDistanceKm": self.target_distance_km,
        }
        given = [name for name, value in targets.items() if value is not None]
        needed = _TARGETS[self.mode]
        if self.mode is ExerciseMode.SETS_ONLY:
            for name in given:
                yield BrokenField("rule", name, f"An exercise in the mode sets_only has no {name}.")
        elif not set(needed) & set(given):
            yield BrokenField("missing", needed[0], f"The mode {self.mode} needs {' or '.join(needed)}.")


class NewUnitExercise(UnitExerciseEntry):
    """An exercise to add to a unit.

    Attributes:
        position: from 1; at the end when absent or beyond it.
    """

    position: Annotated[int, Meta(ge=1, le=MAX_EXERCISES)] | None = None


class UnitExerciseDocument(UnitExerciseEntry):
    """An exercise of a unit that is replaced as a whole.

    Attributes:
        id: of the one that it is; without it, the one at the same place, or a new one.
    """

    read_only: ClassVar[frozenset[str]] = frozenset({"orderIndex"})

    id: RowId | None = None


class UnitExerciseChange(Input):
    """Changes of an exercise of a unit; the whole of it has to be as when it is added."""

    read_only: ClassVar[frozenset[str]] = frozenset({"id", "orderIndex"})

    mode: ExerciseMode | UnsetType = UNSET
    exercise_id: UUID | UnsetType | None = UNSET
    exercise_name: Name | UnsetType = UNSET
    notes: LongText | UnsetType | None = UNSET
    target_weight: Kilograms | UnsetType | None = UNSET
    sets: SetCount | UnsetType = UNSET
    reps_min: Count | UnsetType | None = UNSET
    reps_max: Count | UnsetType | None = UNSET
    target_time_seconds: Seconds | UnsetType | None = UNSET
    target_distance_km: Kilometres | UnsetType | None = UNSET
    rest_seconds: Count | UnsetType | None = UNSET
    superset_group: Superset | UnsetType | None = UNSET


UnitExerciseDocuments = Annotated[list[UnitExerciseDocument], Meta(max_length=MAX_EXERCISES)]


class NewUnit(Input):
    """A unit to make, with its exercises in their order."""

    name: Name
    description: LongText | None = None
    sharing_status: SharingStatus = SharingStatus.PRIVATE
    exercises: Annotated[list[UnitExerciseEntry], Meta(max_length=MAX_EXERCISES)] = field(default_factory=list)


class UnitDocument(Input):
    """A unit as it is to be from now on.

    Attributes:
        sharing_status: stays when absent; another one is the owner's to set.
        exercises: all, in their order; those that are missing are removed.
    """

    read_only: ClassVar[frozenset[str]] = _MADE_BY_US

    name: Name
    exercises: UnitExerciseDocuments
    description: LongText | None = None
    sharing_status: SharingStatus | UnsetType = UNSET


class UnitChange(Input):
    """Changes of a unit.

    Attributes:
        sharing_status: another one is the owner's to set.
        exercises: all, in their order; those that are missing are removed.
    """

    read_only: ClassVar[frozenset[str]] = _MADE_BY_US

    name: Name | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    sharing_status: SharingStatus | UnsetType = UNSET
    exercises: UnitExerciseDocuments | UnsetType = UNSET


class ExerciseOrder(Input):
    """The ids of all exercises in their new order, each once."""

    ids: Annotated[list[RowId], Meta(max_length=MAX_EXERCISES)]


class PlanUnitEntry(Input):
    """A unit on a day of a plan; among those of the day, at its place in the document.

    Attributes:
        training_unit_id: of a unit that the caller may read; of one that is not the plan owner's, a copy is stored.
        day_number: days may be left out.
    """

    training_unit_id: UUID
    day_number: DayNumber


class NewPlanUnit(PlanUnitEntry):
    """A unit to add to a plan.

    Attributes:
        position: among the units of its day, from 1; at the end when absent or beyond it.
    """

    position: Annotated[int, Meta(ge=1, le=MAX_UNITS)] | None = None


class PlanUnitDocument(PlanUnitEntry):
    """A unit of a plan that is replaced as a whole.

    Attributes:
        id: of the one that it is; without it, the one at the same place, or a new one.
    """

    read_only: ClassVar[frozenset[str]] = frozenset({"unitName", "orderIndex"})

    id: RowId | None = None


class PlanUnitChange(Input):
    """Changes of a unit of a plan; on another day, it is the last one."""

    read_only: ClassVar[frozenset[str]] = frozenset({"id", "unitName", "orderIndex"})

    training_unit_id: UUID | UnsetType = UNSET
    day_number: DayNumber | UnsetType = UNSET


PlanUnitDocuments = Annotated[list[PlanUnitDocument], Meta(max_length=MAX_UNITS)]


class NewPlan(Input):
    """A plan to make, with its units in their order."""

    name: Name
    difficulty_level: DifficultyLevel
    description: LongText | None = None
    sharing_status: SharingStatus = SharingStatus.PRIVATE
    units: Annotated[list[PlanUnitEntry], Meta(max_length=MAX_UNITS)] = field(default_factory=list)


class PlanDocument(Input):
    """A plan as it is to be from now on.

    Attributes:
        sharing_status: stays when absent; another one is the owner's to set.
        units: all, those of each day in their order; those that are missing are removed.
    """

    read_only: ClassVar[frozenset[str]] = _MADE_BY_US

    name: Name
    difficulty_level: DifficultyLevel
    units: PlanUnitDocuments
    description: LongText | None = None
    sharing_status: SharingStatus | UnsetType = UNSET


class PlanChange(Input):
    """Changes of a plan.

    Attributes:
        sharing_status: another one is the owner's to set.
        units: all, those of each day in their order; those that are missing are removed.
    """

    read_only: ClassVar[frozenset[str]] = _MADE_BY_US

    name: Name | UnsetType = UNSET
    difficulty_level: DifficultyLevel | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    sharing_status: SharingStatus | UnsetType = UNSET
    units: PlanUnitDocuments | UnsetType = UNSET


class DayOrder(Input):
    """The ids of the units of one day, in their new order."""

    day_number: DayNumber
    ids: Annotated[list[RowId], Meta(max_length=MAX_UNITS)]


class UnitOrder(Input):
    """All units of a plan, each once, on their days; a unit may come from another day."""

    days: Annotated[list[DayOrder], Meta(max_length=MAX_DAYS)]

    def __post_init__(self) -> None:
        if len({day.day_number for day in self.days}) < len(self.days):
            raise RuleBroken.of("days", "Each day may be given once.")


class Grant(Struct, rename="camel"):
    """What another user may do while the template is shared."""

    user_id: UUID
    name: str | None
    email: str
    access_level: AccessLevel
    created_at: datetime


class NewGrant(Input):
    """Who else may read, or read and write, while the template is shared: one user, by e-mail, by id, or by both."""

    read_only: ClassVar[frozenset[str]] = frozenset({"name", "createdAt"})

    access_level: AccessLevel
    email: Email | None = None
    user_id: UUID | None = None

    def __post_init__(self) -> None:
        if self.email is None and self.user_id is None:
            raise RuleBroken.of("body", "Give an email or a userId.")


class NewLink(Input):
    """A link to make.

    Attributes:
        expires_at: when it ends; it does not end by itself when absent.
    """

    expires_at: Instant | None = None

    def __post_init__(self) -> None:
        if self.expires_at is not None and self.expires_at <= datetime.now(UTC):
            raise RuleBroken.of("expiresAt", "Expected a time to come.", "range")


class Link(Struct, rename="camel", kw_only=True):
    """A link by which anybody may read the template, without an account, while it is shared or public.

    Attributes:
        token: told once, when the link is made.
        path: where the template is to be read, as long as the token is known.
    """

    token: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    created_at: datetime
    expires_at: datetime | None


class SharedExercise(Struct, rename="camel", kw_only=True):
    """An exercise of a unit, as whoever has the link sees it."""

    exercise_name: str
    mode: ExerciseMode
    order_index: int
    notes: str | None
    target_weight: Number | None
    sets: int
    reps_min: int | None
    reps_max: int | None
    target_time_seconds: int | None
    target_distance_km: Number | None
    rest_seconds: int | None
    superset_group: int | None


class SharedUnit(Struct, rename="camel", kw_only=True):
    """A unit, as whoever has the link sees it."""

    name: str
    description: str | None
    exercises: list[SharedExercise]


class SharedPlanUnit(Struct, rename="camel", kw_only=True):
    """A unit on a day of a plan, in full."""

    day_number: int
    order_index: int
    unit: SharedUnit


class SharedPlan(Struct, rename="camel", kw_only=True):
    """A plan with its units, as whoever has the link sees it."""

    name: str
    description: str | None
    difficulty_level: DifficultyLevel
    units: list[SharedPlanUnit]


class SharedTemplate(Struct, rename="camel", kw_only=True):
    """What a link leads to: a unit or a plan; the other one is null.

    Attributes:
        owner_name: as the owner calls themselves.
    """

    owner_name: str | None
    unit: SharedUnit | None
    plan: SharedPlan | None


class TemplateSort(StrEnum):
    """What a list of templates may be sorted by."""

    NAME = "name"
    CREATED_AT = "createdAt"
    UPDATED_AT = "updatedAt"


class TemplateFilters(Struct, frozen=True, kw_only=True):
    """Which templates a list has; values of one filter are alternatives.

    Attributes:
        difficulty_level: of plans.
        search: a part of the name, in any case.
    """

    scope: Scope = Scope.MINE
    search: str = ""
    sharing_status: Sequence[SharingStatus] = ()
    difficulty_level: Sequence[DifficultyLevel] = ()
    order_by: TemplateSort = TemplateSort.UPDATED_AT
    descending: bool = True
