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

__all__ = ("PlanProgressReader", "first_undone", "read_progress")

# ruff: noqa: S608 (statements are put together from constants alone; values are parameters)

_PROGRESS: Final = f"""
SELECT p.name, coalesce(json_agg(json_build_object(
        'planUnitId', d.id, 'trainingUnitId', d.training_unit_id, 'unitName', u.name, 'dayNumber', d.day_number,
        'orderIndex', d.order_index, 'timesDone', done.times, 'lastDone', done.last
    ) ORDER BY d.day_number, d.order_index) FILTER (WHERE d.id IS NOT NULL), '[]'::json)::text AS days
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


async def read_progress(connection: "Connection", plan_id: UUID, principal: Principal) -> PlanProgress:
    """The days of a plan that the caller may read, and which of them they have done.

    Raises:
        NotFound: there is no such plan.
    """
    row = await connection.fetchrow(_PROGRESS, plan_id, principal.user_id, principal.is_superuser)
    if row is None:
        raise NotFound
    days = _days.decode(row["days"])
    rounds = min((day.times_done for day in days), default=0)
    done = sum(day.times_done > rounds for day in days)
    return PlanProgress(plan_id, row["name"], rounds + 1, len(days), done, days)


def first_undone(days: Iterable[PlanDay]) -> PlanDay | None:
    """The first day that was not done in the current round; None: there are no days.

    A round ends when each day was done, and so the first of those that were done least often is the next.
    """
    return min(days, key=lambda day: day.times_done, default=None)


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
