"""How far a runner has come in a plan."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from msgspec import Struct

from app.domain.analytics.dto import RunningProgress
from app.domain.running.rules import RUNNING_TYPES
from app.http.fields import shortest

__all__ = ("COUNTS", "RUNNING", "Counts", "adherence", "progress_of")

_ON_TARGET: Final = Decimal("0.9")
"""The part of what was planned to date that has to be run."""

RUNNING: Final = "workout_type IN ({})".format(", ".join(f"'{kind}'" for kind in RUNNING_TYPES))
"""The workouts that count."""

COUNTS: Final = f"""
SELECT json_build_object(
    'total', count(*), 'completed', count(*) FILTER (WHERE done.is_done),
    'missed', count(*) FILTER (WHERE NOT done.is_done AND w.scheduled_date < {{today}}),
    'plannedKm', coalesce(sum(w.planned_distance_km), 0),
    'plannedToDateKm', coalesce(sum(w.planned_distance_km) FILTER (WHERE w.scheduled_date <= {{today}}), 0),
    'actualKm', coalesce((SELECT t.distance_km FROM plan_run_totals t WHERE t.plan_id = p.id), 0))
FROM running_workouts w
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM runs r WHERE r.workout_id = w.id) AS is_done) AS done
WHERE w.plan_id = p.id AND w.{RUNNING}
"""  # noqa: S608 (every text here is a constant; values are parameters)
"""What is counted of the plan p; `{today}` is the parameter of that day."""


class Counts(Struct, frozen=True, rename="camel"):
    """What is counted of a plan.

    Attributes:
        completed: with a run.
        missed: scheduled before today without one.
        planned_to_date_km: of those that are scheduled up to today.
        actual_km: of every run of the plan, linked to a workout or not.
    """

    total: int
    completed: int
    missed: int
    planned_km: Decimal
    planned_to_date_km: Decimal
    actual_km: Decimal


def adherence(completed: int, total: int) -> Decimal:
    """The part of the workouts that was done: completed / total in percent, to one decimal (half to even); 0 without
    workouts.
    """
    if not total:
        return Decimal(0)
    return (Decimal(100 * completed) / total).quantize(Decimal("0.1"), rounding=ROUND_HALF_EVEN)


def progress_of(counts: Counts) -> RunningProgress:
    """What follows from what was counted. Only workouts of the five running types count.

    Pending is what is neither completed nor missed. On target is who has missed none and has run at least 90 % of what
    was planned up to today.
    """
    return RunningProgress(
        total_workouts=counts.total,
        completed_workouts=counts.completed,
        pending_workouts=counts.total - counts.completed - counts.missed,
        missed_workouts=counts.missed,
        total_planned_distance_km=shortest(float(counts.planned_km)) or 0,
        total_actual_distance_km=shortest(float(counts.actual_km)) or 0,
        adherence_percentage=shortest(float(adherence(counts.completed, counts.total))) or 0,
        on_target=not counts.missed and counts.actual_km >= _ON_TARGET * counts.planned_to_date_km,
    )
