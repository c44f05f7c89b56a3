"""What runs add up to, on the wire."""

from datetime import date

from msgspec import Struct

from app.domain.running.dto import Run, RunningPlan
from app.http.fields import Number

__all__ = (
    "ActiveRunningPlan",
    "FastestRun",
    "RacePrediction",
    "RunningProgress",
    "RunningSummary",
    "RunningWeek",
    "WeeklyRunningSummary",
)


class RunningProgress(Struct, rename="camel", kw_only=True):
    """How far the caller has come in a running plan. Workouts of cross-training and rest don't count.

    Attributes:
        completed_workouts: with a run.
        missed_workouts: scheduled before today without one.
        pending_workouts: all others.
        total_actual_distance_km: of every run of the plan, linked to a workout or not.
        adherence_percentage: completed of all, to one decimal; 0 without workouts.
        on_target: none is missed, and at least 90 % was run of what was planned up to today.
    """

    total_workouts: int
    completed_workouts: int
    pending_workouts: int
    missed_workouts: int
    total_planned_distance_km: Number
    total_actual_distance_km: Number
    adherence_percentage: Number
    on_target: bool


class WeeklyRunningSummary(Struct, rename="camel", kw_only=True):
    """A week of a running plan: seven days from its start on, the last week cut at its end.

    Attributes:
        planned_runs: workouts of the running types that are scheduled in it.
        completed_runs: runs of the plan on local dates in it.
    """

    week_number: int
    start_date: date
    end_date: date
    planned_distance_km: Number
    total_distance_km: Number
    planned_runs: int
    completed_runs: int
    runs: list[Run]


class FastestRun(Struct, rename="camel", kw_only=True):
    """The run of the least pace among those of at least a distance."""

    distance_km: Number
    run: Run


class RunningWeek(Struct, rename="camel", kw_only=True):
    """An ISO week with a run."""

    iso_year: int
    iso_week: int
    distance_km: Number
    runs: int


class ActiveRunningPlan(RunningPlan, kw_only=True):
    """An active plan."""

    progress: RunningProgress


class RacePrediction(Struct, rename="camel", kw_only=True):
    """A time to expect.

    Attributes:
        from_run: what it is predicted from.
    """

    distance_km: Number
    seconds: int
    from_run: Run


class RunningSummary(Struct, rename="camel", kw_only=True):
    """What the caller's runs add up to.

    Attributes:
        mean_pace_sec_per_km: all of the time / all of the distance; null without runs.
        fastest: over 1, 5, 10, 21.0975 and 42.195 km or more; distances that were never run are left out.
        current_streak_weeks: ISO weeks in a row with a run, up to this one or the last.
        weeks: the last 54 weeks of the period that have a run, oldest first.
        predictions: for 5 and 10 km, half marathon and marathon, from the best run of at least 3 km of the last 90
            days; empty without one.
    """

    total_runs: int
    total_distance_km: Number
    total_duration_seconds: int
    mean_pace_sec_per_km: Number | None
    longest_run: Run | None
    fastest: list[FastestRun]
    current_streak_weeks: int
    longest_streak_weeks: int
    weeks: list[RunningWeek]
    active_plans: list[ActiveRunningPlan]
    predictions: list[RacePrediction]
