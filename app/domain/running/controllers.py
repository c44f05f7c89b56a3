"""Routes of running plans, workouts and runs."""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.paging import CursorPage, Page, PageRequest, Precondition, SortOrder
from app.db.reader import Reader
from app.domain.running.calendar import CalendarLinkService, CalendarReader
from app.domain.running.dto import (
    CalendarAddress,
    NewPlanWorkout,
    NewRun,
    NewRunningPlan,
    NewRunningWorkout,
    PlanSort,
    RecordedRun,
    Run,
    RunChange,
    RunFilters,
    RunningPlan,
    RunningPlanChange,
    RunningPlanFilters,
    RunningWorkout,
    RunningWorkoutChange,
    RunningWorkoutFilters,
    WholeRun,
)
from app.domain.running.models import RunningPlanStatus, RunSource, WorkoutType
from app.domain.running.reading import RunningPlanReader, RunningWorkoutReader, RunReader
from app.domain.running.services import RunningPlanService, RunningWorkoutService, RunService
from app.http.admission import PUBLIC
from app.http.answers import Answer, created, document, etag
from app.http.dto import StrictDTO
from app.http.fields import Kilometres
from app.security.principal import Principal

__all__ = (
    "RUNNING",
    "LinkedCalendarController",
    "PlanCalendarController",
    "PlanRunController",
    "PlanWorkoutController",
    "RunController",
    "RunningPlanController",
    "WorkoutController",
)

_API = "/api/v1"
_CALENDAR_TYPE = "text/calendar; charset=utf-8"

Cursor = Annotated[
    str | None, QueryParameter(name="cursor", description="nextCursor of the part before; empty: the first part.")
]
PageSize = Annotated[int, QueryParameter(name="pageSize", ge=1, le=100)]
From = Annotated[date | None, QueryParameter(name="from", description="The first local date.")]
To = Annotated[date | None, QueryParameter(name="to", description="The last local date.")]
Search = Annotated[str, QueryParameter(name="searchString", max_length=200, description="A part of the name.")]
Statuses = Annotated[list[RunningPlanStatus] | None, QueryParameter(name="status")]
PlanIds = Annotated[list[UUID] | None, QueryParameter(name="planId")]
WorkoutIds = Annotated[list[UUID] | None, QueryParameter(name="workoutId")]
WorkoutTypes = Annotated[list[WorkoutType] | None, QueryParameter(name="workoutType")]
Sources = Annotated[list[RunSource] | None, QueryParameter(name="source")]
LeastDistance = Annotated[float | None, QueryParameter(name="minDistanceKm", ge=0, le=1000)]
MostDistance = Annotated[float | None, QueryParameter(name="maxDistanceKm", ge=0, le=1000)]
Order = Annotated[PlanSort, QueryParameter(name="orderBy")]
Direction = Annotated[
    SortOrder | None,
    QueryParameter(name="sortOrder", description="When absent: names from the first on, dates from the last on."),
]


def provide_plan_filters(
    status: Statuses = None,
    from_: From = None,
    to: To = None,
    search_string: Search = "",
    order_by: Order = PlanSort.START_DATE,
    sort_order: Direction = None,
) -> RunningPlanFilters:
    """The dependency ``filters`` of plans: which ones a list has, and in which order."""
    return RunningPlanFilters(
        status=_once(status),
        since=from_,
        until=to,
        search=search_string,
        order_by=order_by,
        order=sort_order or (SortOrder.ASC if order_by is PlanSort.NAME else SortOrder.DESC),
    )


def provide_workout_filters(
    plan_id_: PlanIds = None, workout_type: WorkoutTypes = None, from_: From = None, to: To = None
) -> RunningWorkoutFilters:
    """The dependency ``filters`` of workouts: which ones a list has."""
    return RunningWorkoutFilters(plan_id=_once(plan_id_), workout_type=_once(workout_type), since=from_, until=to)


def provide_run_filters(
    plan_id_: PlanIds = None,
    workout_id: WorkoutIds = None,
    source: Sources = None,
    from_: From = None,
    to: To = None,
    min_distance_km: LeastDistance = None,
    max_distance_km: MostDistance = None,
) -> RunFilters:
    """The dependency ``filters`` of runs: which ones a list has."""
    return RunFilters.of(
        plan_id_, workout_id, source, from_, to, _kilometres(min_distance_km), _kilometres(max_distance_km)
    )


def provide_plans(db_session: NamedDependency[AsyncSession]) -> RunningPlanService:
    """The service of plans, in this request's transaction."""
    return RunningPlanService(db_session)


def provide_workouts(db_session: NamedDependency[AsyncSession]) -> RunningWorkoutService:
    """The service of workouts, in this request's transaction."""
    return RunningWorkoutService(db_session)


def provide_runs(db_session: NamedDependency[AsyncSession]) -> RunService:
    """The service of runs, in this request's transaction."""
    return RunService(db_session)


def provide_links(db_session: NamedDependency[AsyncSession]) -> CalendarLinkService:
    """The service of links to calendars, in this request's transaction."""
    return CalendarLinkService(db_session)


def provide_plan_reader(reader: NamedDependency[Reader]) -> RunningPlanReader:
    """The reader of plans."""
    return RunningPlanReader(reader)


def provide_workout_reader(reader: NamedDependency[Reader]) -> RunningWorkoutReader:
    """The reader of workouts."""
    return RunningWorkoutReader(reader)


def provide_run_reader(reader: NamedDependency[Reader]) -> RunReader:
    """The reader of runs."""
    return RunReader(reader)


def provide_calendars(reader: NamedDependency[Reader]) -> CalendarReader:
    """The reader of calendars."""
    return CalendarReader(reader)


class RunningPlanController(Controller):
    """Running plans of the caller."""

    path = "/plans"
    tags = ["Running"]
    dependencies = {
        "running_plans": Provide(provide_plans, sync_to_thread=False),
        "running_plan_reader": Provide(provide_plan_reader, sync_to_thread=False),
    }
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="createRunningPlan", summary="Make a running plan")
    async def create(
        self,
        data: JSONBody[NewRunningPlan],
        running_plans: NamedDependency[RunningPlanService],
        principal: NamedDependency[Principal],
    ) -> Answer[RunningPlan]:
        """Makes a plan of at most 366 days; its workouts come after it."""
        made = await running_plans.create(data, principal)
        return created(made, f"{_API}/plans/{made.document.id}")

    @get(
        operation_id="listRunningPlans",
        summary="My running plans",
        dependencies={"filters": Provide(provide_plan_filters, sync_to_thread=False)},
    )
    async def find(
        self,
        running_plan_reader: NamedDependency[RunningPlanReader],
        filters: NamedDependency[RunningPlanFilters],
        page: NamedDependency[PageRequest],
        principal: NamedDependency[Principal],
    ) -> Page[RunningPlan]:
        """One page of my plans. `from` and `to` find the plans that overlap these dates."""
        return await running_plan_reader.browse(filters, page, principal)

    @get("/{plan_id:uuid}", operation_id="getRunningPlan", summary="A running plan")
    async def read(
        self,
        plan_id: FromPath[UUID],
        running_plan_reader: NamedDependency[RunningPlanReader],
        principal: NamedDependency[Principal],
    ) -> Answer[RunningPlan]:
        """One of my plans."""
        return document(await running_plan_reader.read(plan_id, principal))

    @put("/{plan_id:uuid}", operation_id="replaceRunningPlan", summary="Replace a running plan")
    async def replace(
        self,
        plan_id: FromPath[UUID],
        data: JSONBody[NewRunningPlan],
        running_plans: NamedDependency[RunningPlanService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[RunningPlan]:
        """Puts a whole plan in the place of what is stored; its workouts stay, and must lie inside."""
        return document(await running_plans.replace(plan_id, data, principal, precondition))

    @patch("/{plan_id:uuid}", operation_id="changeRunningPlan", summary="Change a running plan")
    async def change(
        self,
        plan_id: FromPath[UUID],
        data: JSONBody[RunningPlanChange],
        running_plans: NamedDependency[RunningPlanService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[RunningPlan]:
        """Changes what the body gives (RFC 7396); its workouts must lie inside."""
        return document(await running_plans.change(plan_id, data, principal, precondition))

    @delete("/{plan_id:uuid}", operation_id="deleteRunningPlan", summary="Delete a running plan")
    async def delete(
        self,
        plan_id: FromPath[UUID],
        running_plans: NamedDependency[RunningPlanService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Deletes a plan with its workouts; the runs stay."""
        await running_plans.delete(plan_id, principal, precondition)


class WorkoutController(Controller):
    """Workouts of the caller's running plans."""

    path = "/workouts"
    tags = ["Running"]
    dependencies = {
        "workouts": Provide(provide_workouts, sync_to_thread=False),
        "workout_reader": Provide(provide_workout_reader, sync_to_thread=False),
    }
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="createWorkout", summary="Make a workout")
    async def create(
        self,
        data: JSONBody[NewRunningWorkout],
        workouts: NamedDependency[RunningWorkoutService],
        principal: NamedDependency[Principal],
    ) -> Answer[RunningWorkout]:
        """Makes a workout in the plan that the body names."""
        made = await workouts.create(data, data.plan_id, principal)
        return created(made, f"{_API}/workouts/{made.document.id}")

    @get(
        operation_id="listWorkouts",
        summary="My workouts, by their dates",
        dependencies={"filters": Provide(provide_workout_filters, sync_to_thread=False)},
    )
    async def find(
        self,
        workout_reader: NamedDependency[RunningWorkoutReader],
        filters: NamedDependency[RunningWorkoutFilters],
        page: NamedDependency[PageRequest],
        principal: NamedDependency[Principal],
    ) -> Page[RunningWorkout]:
        """One page of the workouts of all my plans; those without a date are at the end."""
        return await workout_reader.browse(filters, page, principal)

    @get("/{workout_id:uuid}", operation_id="getWorkout", summary="A workout")
    async def read(
        self,
        workout_id: FromPath[UUID],
        workout_reader: NamedDependency[RunningWorkoutReader],
        principal: NamedDependency[Principal],
    ) -> Answer[RunningWorkout]:
        """A workout of one of my plans."""
        return document(await workout_reader.read(workout_id, principal))

    @put("/{workout_id:uuid}", operation_id="replaceWorkout", summary="Replace a workout")
    async def replace(
        self,
        workout_id: FromPath[UUID],
        data: JSONBody[NewPlanWorkout],
        workouts: NamedDependency[RunningWorkoutService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[RunningWorkout]:
        """Puts a whole workout in the place of what is stored; it stays in its plan."""
        return document(await workouts.replace(workout_id, data, principal, precondition))

    @patch("/{workout_id:uuid}", operation_id="changeWorkout", summary="Change a workout")
    async def change(
        self,
        workout_id: FromPath[UUID],
        data: JSONBody[RunningWorkoutChange],
        workouts: NamedDependency[RunningWorkoutService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[RunningWorkout]:
        """Changes what the body gives (RFC 7396); the whole is checked as a new workout."""
        return document(await workouts.change(workout_id, data, principal, precondition))

    @delete("/{workout_id:uuid}", operation_id="deleteWorkout", summary="Delete a workout")
    async def delete(
        self,
        workout_id: FromPath[UUID],
        workouts: NamedDependency[RunningWorkoutService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Deletes a workout; its runs stay in the plan."""
        await workouts.delete(workout_id, principal, precondition)


class PlanWorkoutController(Controller):
    """Workouts of one running plan: as under /workouts, within the plan of the path."""

    path = "/plans/{plan_id:uuid}/workouts"
    tags = ["Running"]
    dependencies = WorkoutController.dependencies
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="createPlanWorkout", summary="Make a workout in a plan")
    async def create(
        self,
        plan_id: FromPath[UUID],
        data: JSONBody[NewPlanWorkout],
        workouts: NamedDependency[RunningWorkoutService],
        principal: NamedDependency[Principal],
    ) -> Answer[RunningWorkout]:
        """Makes a workout in this plan."""
        made = await workouts.create(data, plan_id, principal)
        return created(made, f"{_API}/plans/{plan_id}/workouts/{made.document.id}")

    @get(
        operation_id="listPlanWorkouts",
        summary="The workouts of a plan, by their dates",
        dependencies={"filters": Provide(provide_workout_filters, sync_to_thread=False)},
    )
    async def find(
        self,
        plan_id: FromPath[UUID],
        workout_reader: NamedDependency[RunningWorkoutReader],
        filters: NamedDependency[RunningWorkoutFilters],
        page: NamedDependency[PageRequest],
        principal: NamedDependency[Principal],
    ) -> Page[RunningWorkout]:
        """One page of the workouts of this plan; those without a date are at the end."""
        return await workout_reader.browse(filters, page, principal, plan_id)

    @get("/{workout_id:uuid}", operation_id="getPlanWorkout", summary="A workout of a plan")
    async def read(
        self,
        plan_id: FromPath[UUID],
        workout_id: FromPath[UUID],
        workout_reader: NamedDependency[RunningWorkoutReader],
        principal: NamedDependency[Principal],
    ) -> Answer[RunningWorkout]:
        """A workout of this plan."""
        return document(await workout_reader.read(workout_id, principal, plan_id))

    @put("/{workout_id:uuid}", operation_id="replacePlanWorkout", summary="Replace a workout of a plan")
    async def replace(
        self,
        plan_id: FromPath[UUID],
        workout_id: FromPath[UUID],
        data: JSONBody[NewPlanWorkout],
        workouts: NamedDependency[RunningWorkoutService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[RunningWorkout]:
        """Puts a whole workout in the place of what is stored."""
        return document(await workouts.replace(workout_id, data, principal, precondition, plan_id))

    @patch("/{workout_id:uuid}", operation_id="changePlanWorkout", summary="Change a workout of a plan")
    async def change(
        self,
        plan_id: FromPath[UUID],
        workout_id: FromPath[UUID],
        data: JSONBody[RunningWorkoutChange],
        workouts: NamedDependency[RunningWorkoutService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[RunningWorkout]:
        """Changes what the body gives (RFC 7396); the whole is checked as a new workout."""
        return document(await workouts.change(workout_id, data, principal, precondition, plan_id))

    @delete("/{workout_id:uuid}", operation_id="deletePlanWorkout", summary="Delete a workout of a plan")
    async def delete(
        self,
        plan_id: FromPath[UUID],
        workout_id: FromPath[UUID],
        workouts: NamedDependency[RunningWorkoutService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Deletes a workout; its runs stay in the plan."""
        await workouts.delete(workout_id, principal, precondition, plan_id)


class RunController(Controller):
    """Runs of the caller."""

    path = "/runs"
    tags = ["Running"]
    dependencies = {
        "runs": Provide(provide_runs, sync_to_thread=False),
        "run_reader": Provide(provide_run_reader, sync_to_thread=False),
    }
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="recordRun", summary="Record a run")
    async def create(
        self,
        data: JSONBody[NewRun],
        runs: NamedDependency[RunService],
        principal: NamedDependency[Principal],
    ) -> Answer[RecordedRun]:
        """Records a run. Without a workoutId, and unless `autoMatch` is false, it is linked to an unfulfilled workout
        of its local date in an active plan: the nearest in relative distance, then the oldest; `autoMatched` says so.
        """
        made = await runs.create(data, principal)
        return created(made, f"{_API}/runs/{made.document.id}")

    @get(
        operation_id="listRuns",
        summary="My runs, newest first",
        dependencies={"filters": Provide(provide_run_filters, sync_to_thread=False)},
    )
    async def find(
        self,
        run_reader: NamedDependency[RunReader],
        filters: NamedDependency[RunFilters],
        principal: NamedDependency[Principal],
        cursor: Cursor = None,
        page_size: PageSize = 20,
    ) -> CursorPage[Run]:
        """A part of my runs. A cursor belongs to the filters that it was made with."""
        return await run_reader.find(filters, cursor, page_size, principal)

    @get("/{run_id:uuid}", operation_id="getRun", summary="A run")
    async def read(
        self, run_id: FromPath[UUID], run_reader: NamedDependency[RunReader], principal: NamedDependency[Principal]
    ) -> Answer[Run]:
        """One of my runs."""
        return document(await run_reader.read(run_id, principal))

    @put("/{run_id:uuid}", operation_id="replaceRun", summary="Replace a run")
    async def replace(
        self,
        run_id: FromPath[UUID],
        data: JSONBody[WholeRun],
        runs: NamedDependency[RunService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[Run]:
        """Puts a whole run in the place of what is stored."""
        return document(await runs.replace(run_id, data, principal, precondition))

    @patch("/{run_id:uuid}", operation_id="changeRun", summary="Change a run")
    async def change(
        self,
        run_id: FromPath[UUID],
        data: JSONBody[RunChange],
        runs: NamedDependency[RunService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[Run]:
        """Changes what the body gives (RFC 7396); the whole is checked as a new run."""
        return document(await runs.change(run_id, data, principal, precondition))

    @delete("/{run_id:uuid}", operation_id="deleteRun", summary="Delete a run")
    async def delete(
        self,
        run_id: FromPath[UUID],
        runs: NamedDependency[RunService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> None:
        """Deletes a run for good."""
        await runs.delete(run_id, principal, precondition)


class PlanRunController(Controller):
    """Runs of one running plan."""

    path = "/plans/{plan_id:uuid}/runs"
    tags = ["Running"]
    dependencies = RunController.dependencies
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="recordPlanRun", summary="Record a run of a plan")
    async def create(
        self,
        plan_id: FromPath[UUID],
        data: JSONBody[NewRun],
        runs: NamedDependency[RunService],
        principal: NamedDependency[Principal],
    ) -> Answer[RecordedRun]:
        """Records a run in this plan; it is linked to a workout of this plan alone."""
        made = await runs.create(data, principal, plan_id)
        return created(made, f"{_API}/runs/{made.document.id}")

    @get(
        operation_id="listPlanRuns",
        summary="The runs of a plan, newest first",
        dependencies={"filters": Provide(provide_run_filters, sync_to_thread=False)},
    )
    async def find(
        self,
        plan_id: FromPath[UUID],
        run_reader: NamedDependency[RunReader],
        filters: NamedDependency[RunFilters],
        principal: NamedDependency[Principal],
        cursor: Cursor = None,
        page_size: PageSize = 20,
    ) -> CursorPage[Run]:
        """A part of the runs of this plan, linked to a workout or not."""
        return await run_reader.find(filters, cursor, page_size, principal, plan_id)


class PlanCalendarController(Controller):
    """A running plan as a calendar, and the link to it."""

    path = "/plans/{plan_id:uuid}"
    tags = ["Running"]
    dependencies = {
        "calendar_links": Provide(provide_links, sync_to_thread=False),
        "calendars": Provide(provide_calendars, sync_to_thread=False),
    }
    return_dto = StrictDTO[Any]

    @get(
        "/calendar.ics",
        operation_id="getPlanCalendar",
        summary="A running plan as a calendar",
        media_type=_CALENDAR_TYPE,
    )
    async def calendar(
        self,
        plan_id: FromPath[UUID],
        calendars: NamedDependency[CalendarReader],
        principal: NamedDependency[Principal],
    ) -> Answer[str]:
        """The workouts of this plan that have a date, and its race, as events of whole days (RFC 5545)."""
        found = await calendars.own(plan_id, principal)
        return Answer(found.document, media_type=_CALENDAR_TYPE, headers={"ETag": etag(found.tag)})

    @post("/link", operation_id="makePlanCalendarLink", summary="Make a link to the calendar of a plan")
    async def make_link(
        self,
        plan_id: FromPath[UUID],
        calendar_links: NamedDependency[CalendarLinkService],
        principal: NamedDependency[Principal],
    ) -> Answer[CalendarAddress]:
        """Makes a link by which a calendar reads this plan without signing in; an earlier link ends. Its token is told
        this once.
        """
        made = await calendar_links.make(plan_id, principal)
        return Answer(made, status_code=201, headers={"Location": f"{_API}/plans/{plan_id}/link"})

    @get("/link", operation_id="getPlanCalendarLink", summary="The link to the calendar of a plan")
    async def read_link(
        self,
        plan_id: FromPath[UUID],
        calendars: NamedDependency[CalendarReader],
        principal: NamedDependency[Principal],
    ) -> CalendarAddress:
        """When the link was made; its token was told once, and is not kept."""
        return await calendars.link(plan_id, principal)

    @delete("/link", operation_id="endPlanCalendarLink", summary="End the link to the calendar of a plan")
    async def end_link(
        self,
        plan_id: FromPath[UUID],
        calendar_links: NamedDependency[CalendarLinkService],
        principal: NamedDependency[Principal],
    ) -> None:
        """Ends the link at once."""
        await calendar_links.end(plan_id, principal)


class LinkedCalendarController(Controller):
    """What links to calendars lead to."""

    path = "/shared/{token:str}/calendar.ics"
    tags = ["Share links"]
    opt = PUBLIC
    dependencies = {"calendars": Provide(provide_calendars, sync_to_thread=False)}
    return_dto = StrictDTO[Any]

    @get(
        operation_id="getLinkedCalendar",
        summary="The calendar that a link leads to",
        media_type=_CALENDAR_TYPE,
        responses={304: ResponseSpec(None, generate_examples=False, description="If-None-Match names this state.")},
    )
    async def read(self, token: FromPath[str], calendars: NamedDependency[CalendarReader]) -> Answer[str]:
        """A running plan as a calendar, for whoever has the link; it needs no account."""
        found = await calendars.linked(token)
        headers = {"ETag": etag(found.tag), "X-Robots-Tag": "noindex"}
        return Answer(found.document, media_type=_CALENDAR_TYPE, headers=headers)


def _once(values: Iterable[Any] | None) -> tuple[Any, ...]:
    return tuple(sorted(set(values or ())))


def _kilometres(value: float | None) -> Kilometres | None:
    return None if value is None else Kilometres(str(value))


RUNNING: list[type[Controller]] = [
    RunningPlanController,
    WorkoutController,
    PlanWorkoutController,
    RunController,
    PlanRunController,
    PlanCalendarController,
    LinkedCalendarController,
]
"""The routes of this domain."""
