"""Reads what the caller's runs add up to, each group of figures in one statement."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Connection, Record
from msgspec import Struct

from app.db.reader import Reader
from app.domain.analytics.dto import (
    ActiveRunningPlan,
    FastestRun,
    RacePrediction,
    RunningProgress,
    RunningSummary,
    RunningWeek,
    WeeklyRunningSummary,
)
from app.domain.analytics.periods import Span, cover, plan_week, weeks_within
from app.domain.analytics.predictions import HALF_MARATHON_KM, MARATHON_KM, PREDICTED_KM, riegel
from app.domain.analytics.progress import COUNTS, RUNNING, Counts, progress_of
from app.domain.analytics.streaks import streaks
from app.domain.running.documents import PLAN_JSON, PLANS, RUN_JSON, RUN_TABLES, KeptRun
from app.errors import NotFound
from app.http.fields import shortest
from app.security.principal import Principal

__all__ = ("AnalyticsReader",)

# ruff: noqa: S608 (statements are put together from constants alone; values are parameters)

_MOST_WEEKS: Final = 54
"""How many weeks a summary shows. Any year fits."""

_RECENT: Final = timedelta(days=89)
"""Predictions look at 90 days, today included."""

_FASTEST: Final = {
    "fastest_1": 1,
    "fastest_5": 5,
    "fastest_10": 10,
    "fastest_half": HALF_MARATHON_KM,
    "fastest_marathon": MARATHON_KM,
}

_PROGRESS: Final = f"""
SELECT ({COUNTS.format(today="$3::date")})::text AS counts FROM running_plans p WHERE p.id = $1 AND p.user_id = $2
"""

_PLAN_DATES: Final = "SELECT start_date, end_date FROM running_plans WHERE id = $1 AND user_id = $2"

_WEEK: Final = f"""
SELECT w.planned_runs, w.planned_km, r.runs, r.distance_km
FROM (
    SELECT count(*) AS planned_runs, coalesce(sum(planned_distance_km), 0) AS planned_km FROM running_workouts
    WHERE plan_id = $1 AND scheduled_date BETWEEN $3 AND $4 AND {RUNNING}
) AS w, (
    SELECT coalesce(json_agg({RUN_JSON} ORDER BY r.started_at, r.id), '[]'::json)::text AS runs,
        coalesce(sum(r.distance_km), 0) AS distance_km
    FROM {RUN_TABLES} WHERE r.plan_id = $1 AND r.user_id = $2 AND r.local_date BETWEEN $3 AND $4
) AS r
"""


def _best(name: str, group: str) -> str:
    order = "t.longest DESC" if name == "longest" else f"t.{name}"
    return f"(array_agg(t.{name}_run ORDER BY {order}, t.{name}_run) FILTER (WHERE t.spans = '{group}'))[1] AS {name}"


_BESTS: Final = ("longest", *_FASTEST, "best_effort")

# Each span is one look into the index, however the planner reckons.
_FIGURES: Final = f"""
WITH figures AS (
    SELECT coalesce(sum(t.runs) FILTER (WHERE t.spans = 'asked'), 0) AS runs,
        coalesce(sum(t.distance_km) FILTER (WHERE t.spans = 'asked'), 0) AS distance_km,
        coalesce(sum(t.duration_seconds) FILTER (WHERE t.spans = 'asked'), 0)::bigint AS duration_seconds,
        {", ".join(_best(name, "recent" if name == "best_effort" else "asked") for name in _BESTS)}
    FROM (
        SELECT span.spans, totals.*
        FROM json_to_recordset($2::text::json) AS span (spans text, period text, since date, before date)
        CROSS JOIN LATERAL (
            SELECT * FROM run_totals t
            WHERE t.user_id = $1 AND t.period = span.period AND t.starts_on >= span.since AND t.starts_on < span.before
            OFFSET 0
        ) AS totals
    ) AS t
)
SELECT figures.*, (
    SELECT json_object_agg(r.id, {RUN_JSON}) FROM {RUN_TABLES}
    WHERE r.id IN ({", ".join(f"figures.{name}" for name in _BESTS)}))::text AS found
FROM figures
"""

_WEEKS: Final = f"""
SELECT (
    SELECT json_agg(json_build_object('monday', starts_on, 'runs', runs, 'distanceKm', distance_km)) FROM (
        (SELECT starts_on, runs, distance_km FROM run_totals
        WHERE user_id = $1 AND period = 'week' AND starts_on >= $2 AND starts_on < $3
        ORDER BY starts_on DESC LIMIT {_MOST_WEEKS})
        UNION ALL
        SELECT date_trunc('week', starts_on::timestamp)::date, sum(runs), sum(distance_km) FROM run_totals
        WHERE user_id = $1 AND period = 'day'
            AND (starts_on >= $4 AND starts_on < $5 OR starts_on >= $6 AND starts_on < $7)
        GROUP BY 1
    ) AS week)::text AS weeks, (
    SELECT json_object_agg(starts_on, iso_weeks) FROM run_totals WHERE user_id = $1 AND period = 'year')::text AS years
"""

_ACTIVE: Final = f"""
SELECT ({PLAN_JSON})::text AS plan, ({COUNTS.format(today="$2::date")})::text AS counts
FROM running_plans p WHERE p.user_id = $1 AND p.status = 'active' ORDER BY p.start_date, p.id
"""


class _Week(Struct, rename="camel"):
    monday: date
    runs: int
    distance_km: Decimal


_counts = msgspec.json.Decoder(Counts)
_kept_runs = msgspec.json.Decoder(list[KeptRun])
_found_runs = msgspec.json.Decoder(dict[UUID, KeptRun])
_weeks = msgspec.json.Decoder(list[_Week])
_years = msgspec.json.Decoder(dict[date, int])


class AnalyticsReader:
    """Reads what the caller's runs add up to."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def progress(self, plan_id: UUID, principal: Principal, today: date) -> RunningProgress:
        """How far the caller has come in a plan.

        Raises:
            NotFound: the caller has no such plan.
        """
        row = await self._reader.fetchrow(_PROGRESS, plan_id, principal.user_id, today)
        if row is None:
            raise NotFound
        return progress_of(_counts.decode(row["counts"]))

    async def week(self, plan_id: UUID, principal: Principal, today: date, number: int | None) -> WeeklyRunningSummary:
        """A week of a plan, the current one when no number is given.

        Raises:
            NotFound: the caller has no such plan.
            Malformed: the plan has no such week.
        """
        async with self._reader.connection() as connection:
            plan = await connection.fetchrow(_PLAN_DATES, plan_id, principal.user_id)
            if plan is None:
                raise NotFound
            week = plan_week(plan["start_date"], plan["end_date"], today, number)
            row = await connection.fetchrow(_WEEK, plan_id, principal.user_id, week.first, week.last)
        runs = [run.document() for run in _kept_runs.decode(row["runs"])]
        return WeeklyRunningSummary(
            week_number=week.number,
            start_date=week.first,
            end_date=week.last,
            planned_distance_km=shortest(float(row["planned_km"])) or 0,
            total_distance_km=shortest(float(row["distance_km"])) or 0,
            planned_runs=row["planned_runs"],
            completed_runs=len(runs),
            runs=runs,
        )

    async def summary(
        self, principal: Principal, today: date, since: date | None, until: date | None
    ) -> RunningSummary:
        """Figures of the runs between two local dates; streaks, active plans and predictions are as of today.

        Args:
            since: the first of the dates; None: from the first run on.
            until: the last of them; None: up to the last run.
        """
        async with self._reader.connection() as connection:
            figures = await _figures(connection, principal.user_id, since, until, today)
            weeks = await _weeks_of(connection, principal.user_id, since, until)
            active = await connection.fetch(_ACTIVE, principal.user_id, today)
        found = _found_runs.decode(figures["found"]) if figures["found"] else {}
        longest = found.get(figures["longest"])
        in_a_row = streaks(_years.decode(weeks["years"]) if weeks["years"] else {}, today)
        distance, duration = float(figures["distance_km"]), figures["duration_seconds"]
        return RunningSummary(
            total_runs=int(figures["runs"]),
            total_distance_km=shortest(distance) or 0,
            total_duration_seconds=duration,
            mean_pace_sec_per_km=shortest(duration / distance) if distance else None,
            longest_run=longest.document() if longest else None,
            fastest=_fastest(figures, found),
            current_streak_weeks=in_a_row.current,
            longest_streak_weeks=in_a_row.longest,
            weeks=_shown(_weeks.decode(weeks["weeks"]) if weeks["weeks"] else []),
            active_plans=[_active(row) for row in active],
            predictions=_predictions(found.get(figures["best_effort"])),
        )


async def _figures(
    connection: "Connection", user_id: UUID, since: date | None, until: date | None, today: date
) -> Record:
    # Who runs ahead of this zone may have run tomorrow already.
    recent = cover(today - _RECENT, None)
    spans = [*_named("asked", cover(since, until)), *_named("recent", recent)]
    return await connection.fetchrow(_FIGURES, user_id, msgspec.json.encode(spans).decode())


def _named(name: str, spans: list[Span]) -> list[dict[str, object]]:
    return [{"spans": name, **msgspec.structs.asdict(span)} for span in spans]


async def _weeks_of(connection: "Connection", user_id: UUID, since: date | None, until: date | None) -> Record:
    """The weeks of a period: whole ones, and those that its ends cut, from their days."""
    first, behind = weeks_within(since, until)
    days = [(span.since, span.before) for span in cover(since, until) if span.period == "day"]
    days += [(first, first)] * (2 - len(days))
    return await connection.fetchrow(_WEEKS, user_id, first, behind, *days[0], *days[1])


def _shown(weeks: list[_Week]) -> list[RunningWeek]:
    weeks.sort(key=lambda week: week.monday)
    return [
        RunningWeek(
            iso_year=week.monday.isocalendar().year,
            iso_week=week.monday.isocalendar().week,
            distance_km=shortest(float(week.distance_km)) or 0,
            runs=week.runs,
        )
        for week in weeks[-_MOST_WEEKS:]
    ]


def _fastest(figures: Record, found: Mapping[UUID, KeptRun]) -> list[FastestRun]:
    return [
        FastestRun(distance_km=distance, run=found[figures[name]].document())
        for name, distance in _FASTEST.items()
        if figures[name]
    ]


def _active(row: Record) -> ActiveRunningPlan:
    plan = PLANS.one.decode(row["plan"])
    return ActiveRunningPlan(**msgspec.structs.asdict(plan), progress=progress_of(_counts.decode(row["counts"])))


def _predictions(best: KeptRun | None) -> list[RacePrediction]:
    if best is None:
        return []
    run, distance = best.document(), float(best.distance_km)
    return [
        RacePrediction(distance_km=target, seconds=riegel(best.duration_seconds, distance, target), from_run=run)
        for target in PREDICTED_KM
    ]
