"""How far somebody has come in a plan: reckoned from their own history, whoever owns the plan."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Connection

from app.db.reader import Reader
from app.domain.history.dto import NextDay, PlanDay, PlanProgress
from app.domain.training.access import PLANS, access_of
from app.errors import NotFound
from app.security.principal import Principal

__all__ = ("PlanProgressReader", "current_round", "first_undone", "read_progress")

# ruff: noqa: S608 (statements are put together from constants alone; values are parameters)

_PROGRESS: Final = f"""
SELECT p.name, coalesce(json_agg(json_build_object(
        'planUnitId', d.id, 'trainingUnitId', d.training_unit_id, 'unitName', u.name, 'dayNumber', d.day_number,
        'orderIndex', d.order_index, 'timesDone', done.times, 'lastDone', done.last
    ) ORDER BY d.day_number, d.order_index) FILTER (WHERE d.id IS NOT NULL), '[]'::json)::text AS days, (
    SELECT coalesce(json_agg(s.plan_unit_id ORDER BY s.start_time, s.id), '[]'::json)::text
    FROM training_sessions s
    WHERE s.plan_unit_id IN (SELECT day.id FROM training_plan_units day WHERE day.training_plan_id = p.id)
        AND s.user_id = $2 AND s.status = 'completed') AS done
FROM training_plans p
LEFT JOIN (training_plan_units d JOIN training_units u ON u.id = d.training_unit_id) ON d.training_plan_id = p.id
LEFT JOIN LATERAL (
    SELECT count(*) AS times, (array_agg(
        json_build_object('sessionId', s.id, 'localDate', s.local_date) ORDER BY s.start_time DESC, s.id DESC
    ))[1] AS last
    FROM training_sessions s
    WHERE s.plan_unit_id = d.id AND s.user_id = $2 AND s.status = 'completed'
) done ON true
WHERE p.id = $1 AND {access_of(PLANS, "p", "$2", "$3")} IS NOT NULL
GROUP BY p.id
"""

_days = msgspec.json.Decoder(list[PlanDay])
_done = msgspec.json.Decoder(list[int])


async def read_progress(connection: "Connection", plan_id: UUID, principal: Principal) -> PlanProgress:
    """The days of a plan that the caller may read, and which of them they have done.

    Raises:
        NotFound: there is no such plan.
    """
    row = await connection.fetchrow(_PROGRESS, plan_id, principal.user_id, principal.is_superuser)
    if row is None:
        raise NotFound
    days = _days.decode(row["days"])
    number, undone = current_round((day.plan_unit_id for day in days), _done.decode(row["done"]))
    for day in days:
        day.is_done = day.plan_unit_id not in undone
    return PlanProgress(plan_id, row["name"], number, len(days), len(days) - len(undone), days)


def current_round(days: Iterable[int], done: Iterable[int]) -> tuple[int, set[int]]:
    """The number of the current round, from 1, and the days that are not done in it.

    A round ends when each day was done, in whatever order and however often. Days are those that the plan has now: one
    that was added later is missing in the round that it was added in, and not in those before.

    Args:
        done: the days of completed sessions, in the order of time.
    """
    every = set(days)
    number, undone = 1, every.copy()
    for day in done:
        undone.discard(day)
        if not undone:
            number, undone = number + 1, every.copy()
    return number, undone


def first_undone(days: Iterable[PlanDay]) -> PlanDay | None:
    """The first day that was not done in the current round, or the first where all were; None: there are no days."""
    return min(days, key=lambda day: day.is_done, default=None)


class PlanProgressReader:
    """Reads the caller's progress in plans, each time in one statement."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def progress(self, plan_id: UUID, principal: Principal) -> PlanProgress:
        """Which days are done, and when.

        Raises:
            NotFound: there is no such plan.
        """
        async with self._reader.connection() as connection:
            return await read_progress(connection, plan_id, principal)

    async def next_day(self, plan_id: UUID, principal: Principal) -> NextDay:
        """Which day comes next.

        Raises:
            NotFound: there is no such plan.
        """
        progress = await self.progress(plan_id, principal)
        return NextDay(plan_id, progress.plan_name, progress.round, first_undone(progress.days))
