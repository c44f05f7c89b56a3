"""Routes of what runs add up to."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency, Provide
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, QueryParameter

from app.db.reader import Reader
from app.domain.analytics.dto import RunningProgress, RunningSummary, WeeklyRunningSummary
from app.domain.analytics.periods import local_today
from app.domain.analytics.services import AnalyticsReader
from app.http.dto import StrictDTO
from app.http.problems import PROBLEM_TYPE, Problem
from app.security.principal import Principal

__all__ = ("ANALYTICS", "AnalyticsController", "PlanAnalyticsController")

Timezone = Annotated[
    str | None, QueryParameter(name="timezone", description="Where it is to be today; my own time zone when absent.")
]
WeekNumber = Annotated[
    int | None, QueryParameter(name="weekNumber", description="From 1; when absent the current week, else the first.")
]
From = Annotated[date | None, QueryParameter(name="from", description="The first local date.")]
To = Annotated[date | None, QueryParameter(name="to", description="The last local date.")]


def provide_analytics(reader: NamedDependency[Reader]) -> AnalyticsReader:
    """The reader of what runs add up to."""
    return AnalyticsReader(reader)


async def provide_today(
    reader: NamedDependency[Reader], principal: NamedDependency[Principal], timezone_: Timezone = None
) -> date:
    """The dependency ``today``: the date where the caller is."""
    return await local_today(reader, principal, timezone_)


_DEPENDENCIES = {
    "analytics": Provide(provide_analytics, sync_to_thread=False),
    "today": Provide(provide_today),
}


class PlanAnalyticsController(Controller):
    """What the runs of a plan add up to."""

    path = "/plans/{plan_id:uuid}"
    tags = ["Running"]
    dependencies = _DEPENDENCIES
    return_dto = StrictDTO[Any]

    @get("/progress", operation_id="getRunningPlanProgress", summary="How far I have come in a running plan")
    async def progress(
        self,
        plan_id: FromPath[UUID],
        analytics: NamedDependency[AnalyticsReader],
        principal: NamedDependency[Principal],
        today: NamedDependency[date],
    ) -> RunningProgress:
        """Workouts done, missed and to come, and kilometres planned and run."""
        return await analytics.progress(plan_id, principal, today)

    @get(
        "/weekly-summary",
        operation_id="getRunningPlanWeek",
        summary="A week of a running plan",
        responses={
            400: ResponseSpec(
                Problem, generate_examples=False, description="The plan has no such week.", media_type=PROBLEM_TYPE
            )
        },
    )
    async def week(
        self,
        plan_id: FromPath[UUID],
        analytics: NamedDependency[AnalyticsReader],
        principal: NamedDependency[Principal],
        today: NamedDependency[date],
        week_number: WeekNumber = None,
    ) -> WeeklyRunningSummary:
        """What was planned and run on the local dates of a week; the last week is cut at the plan's end."""
        return await analytics.week(plan_id, principal, today, week_number)


class AnalyticsController(Controller):
    """What all runs add up to."""

    path = "/analytics"
    tags = ["Running"]
    dependencies = _DEPENDENCIES
    return_dto = StrictDTO[Any]

    @get("/plan/{plan_id:uuid}", operation_id="getPlanAnalytics", summary="How far I have come in a running plan")
    async def plan(
        self,
        plan_id: FromPath[UUID],
        analytics: NamedDependency[AnalyticsReader],
        principal: NamedDependency[Principal],
        today: NamedDependency[date],
    ) -> RunningProgress:
        """The same as the progress of the plan."""
        return await analytics.progress(plan_id, principal, today)

    @get("/summary", operation_id="getRunningSummary", summary="What my runs add up to")
    async def summary(
        self,
        analytics: NamedDependency[AnalyticsReader],
        principal: NamedDependency[Principal],
        today: NamedDependency[date],
        from_: From = None,
        to: To = None,
    ) -> RunningSummary:
        """Totals, longest and fastest runs and weeks of the runs between two dates, both included, or of all of them;
        streaks, active plans and predictions as of today.
        """
        return await analytics.summary(principal, today, from_, to)


ANALYTICS: list[type[Controller]] = [PlanAnalyticsController, AnalyticsController]
"""The routes of this domain."""
