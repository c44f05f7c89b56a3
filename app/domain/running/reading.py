"""Running plans, workouts and runs of the caller, as they are read."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from app.db.paging import CursorPage, Page, PageRequest, SortOrder, Versioned, decode_cursor, encode_cursor
from app.db.reader import Reader
from app.domain.catalogue.names import FOLDED_NAME, fold
from app.domain.running.documents import (
    PLAN_JSON,
    PLANS,
    RUN_JSON,
    RUN_TABLES,
    WORKOUT_JSON,
    WORKOUTS,
    read_run,
    run_of,
)
from app.domain.running.dto import (
    PlanSort,
    Run,
    RunFilters,
    RunningPlan,
    RunningPlanFilters,
    RunningWorkout,
    RunningWorkoutFilters,
)
from app.errors import NotFound, RuleBroken
from app.security.principal import Principal

__all__ = ("RunReader", "RunningPlanReader", "RunningWorkoutReader")

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_PAGE: Final = """
WITH hits AS (
    SELECT {alias}.id, {key} AS key FROM {tables} WHERE {conditions}
), page AS (
    SELECT id, row_number() OVER (ORDER BY key {direction} NULLS LAST, id) AS position FROM hits
    ORDER BY position LIMIT ${limit} OFFSET ${offset}
)
SELECT (SELECT count(*) FROM hits) AS total,
    '[' || coalesce(string_agg(({json})::text, ',' ORDER BY page.position), '') || ']' AS items
FROM page JOIN {table} ON {alias}.id = page.id
"""

_RUNS: Final = f"""
SELECT r.started_at, r.id, ({RUN_JSON})::text AS run
FROM {RUN_TABLES} WHERE {{conditions}} ORDER BY r.started_at DESC, r.id DESC LIMIT ${{limit}}
"""

_HAS_PLAN: Final = "SELECT FROM running_plans WHERE id = $1 AND user_id = $2"

_SORT_KEYS: Final = {
    PlanSort.START_DATE: "p.start_date",
    PlanSort.NAME: FOLDED_NAME,
    PlanSort.CREATED_AT: "p.created_at",
}

# Lists go as texts: on each new connection, asyncpg asks the catalogue about array types before their first use.
_ANY: Final = "= ANY (string_to_array(${0}, ',')"
_PLAN_FILTERS: Final = {
    "status": f"p.status {_ANY})",
    "since": "p.end_date >= ${0}",
    "until": "p.start_date <= ${0}",
}
_WORKOUT_FILTERS: Final = {
    "plan_id": f"w.plan_id {_ANY}::uuid[])",
    "workout_type": f"w.workout_type {_ANY})",
    "since": "w.scheduled_date >= ${0}",
    "until": "w.scheduled_date <= ${0}",
}
_RUN_FILTERS: Final = {
    "plan_id": f"r.plan_id {_ANY}::uuid[])",
    "workout_id": f"r.workout_id {_ANY}::uuid[])",
    "source": f"r.source {_ANY})",
    # The instants of a local date lie within a day of the same date in UTC; they let the index skip the other years.
    "since": "r.local_date >= ${0} AND r.started_at > (${0}::date - 1)::timestamp AT TIME ZONE 'UTC'",
    "until": "r.local_date <= ${0} AND r.started_at < (${0}::date + 2)::timestamp AT TIME ZONE 'UTC'",
    "least_km": "r.distance_km >= ${0}",
    "most_km": "r.distance_km <= ${0}",
}


class _Conditions:
    """The conditions of a statement, and the values of its parameters. The first one is the caller."""

    def __init__(self, owner: str, principal: Principal) -> None:
        self.values: list[Any] = [principal.user_id]
        self._texts = [f"{owner} = $1"]

    def add(self, value: object) -> int:
        """Add a value, and tell its number."""
        self.values.append(value)
        return len(self.values)

    def require(self, text: str) -> None:
        """Add a condition."""
        self._texts.append(text)

    def narrow(self, known: dict[str, str], filters: object) -> None:
        """Add those filters that are given."""
        for name, condition in known.items():
            wanted = getattr(filters, name)
            if wanted is not None and wanted != ():
                value = ",".join(map(str, wanted)) if isinstance(wanted, tuple) else wanted
                self.require(condition.format(self.add(value)))

    def __str__(self) -> str:
        return " AND ".join(self._texts)


class RunningPlanReader:
    """Reads the running plans of the caller, each time in one statement."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def read(self, plan_id: UUID, principal: Principal) -> Versioned[RunningPlan]:
        """One plan.

        Raises:
            NotFound: the caller has no such plan.
        """
        return await PLANS.read(self._reader, plan_id, principal.user_id)

    async def browse(self, filters: RunningPlanFilters, page: PageRequest, principal: Principal) -> Page[RunningPlan]:
        """One page of the plans."""
        conditions = _Conditions("p.user_id", principal)
        conditions.narrow(_PLAN_FILTERS, filters)
        if wanted := fold(filters.search) or filters.search.strip():
            conditions.require(f"strpos({FOLDED_NAME}, ${conditions.add(wanted)}) > 0")
        statement = _PAGE.format(
            alias="p",
            key=_SORT_KEYS[filters.order_by],
            tables="running_plans p",
            table="running_plans p",
            conditions=conditions,
            direction="DESC" if filters.order is SortOrder.DESC else "ASC",
            json=PLAN_JSON,
            limit=conditions.add(page.page_size),
            offset=conditions.add(page.offset),
        )
        [(total, items)] = await self._reader.fetch(statement, *conditions.values)
        return Page(PLANS.many.decode(items), total, page.page_size, page.offset)


class RunningWorkoutReader:
    """Reads the workouts of the caller's running plans."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def read(
        self, workout_id: UUID, principal: Principal, plan_id: UUID | None = None
    ) -> Versioned[RunningWorkout]:
        """One workout.

        Args:
            plan_id: of which plan, where the path says it.

        Raises:
            NotFound: the caller has no such workout.
        """
        found = await WORKOUTS.read(self._reader, workout_id, principal.user_id)
        if plan_id not in (None, found.document.plan_id):
            raise NotFound
        return found

    async def browse(
        self, filters: RunningWorkoutFilters, page: PageRequest, principal: Principal, plan_id: UUID | None = None
    ) -> Page[RunningWorkout]:
        """One page of the workouts by their dates, those without one at the end.

        Raises:
            NotFound: the path names a plan that the caller does not have.
        """
        conditions = _Conditions("p.user_id", principal)
        conditions.narrow(_WORKOUT_FILTERS, filters)
        if plan_id:
            conditions.require(f"w.plan_id = ${conditions.add(plan_id)}")
        statement = _PAGE.format(
            alias="w",
            key="w.scheduled_date",
            tables="running_workouts w JOIN running_plans p ON p.id = w.plan_id",
            table="running_workouts w",
            conditions=conditions,
            direction="ASC",
            json=WORKOUT_JSON,
            limit=conditions.add(page.page_size),
            offset=conditions.add(page.offset),
        )
        [(total, items)] = await self._reader.fetch(statement, *conditions.values)
        if plan_id and not total:
            await _require_plan(self._reader, plan_id, principal)
        return Page(WORKOUTS.many.decode(items), total, page.page_size, page.offset)


class RunReader:
    """Reads the runs of the caller."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def read(self, run_id: UUID, principal: Principal) -> Versioned[Run]:
        """One run.

        Raises:
            NotFound: the caller has no such run.
        """
        return await read_run(self._reader, run_id, principal.user_id)

    async def find(
        self, filters: RunFilters, cursor: str | None, limit: int, principal: Principal, plan_id: UUID | None = None
    ) -> CursorPage[Run]:
        """A part of the runs, the newest start first.

        Raises:
            NotFound: the path names a plan that the caller does not have.
            RuleBroken: the cursor is not one of this list.
        """
        scope = (filters, plan_id)
        conditions = _Conditions("r.user_id", principal)
        conditions.narrow(_RUN_FILTERS, filters)
        if plan_id:
            conditions.require(f"r.plan_id = ${conditions.add(plan_id)}")
        if cursor:
            start, key = _position(cursor, scope)
            conditions.require(f"(r.started_at, r.id) < (${conditions.add(start)}, ${conditions.add(key)})")
        statement = _RUNS.format(conditions=conditions, limit=conditions.add(limit + 1))
        rows = await self._reader.fetch(statement, *conditions.values)
        if plan_id and not rows:
            await _require_plan(self._reader, plan_id, principal)
        items = [run_of(row["run"]) for row in rows[:limit]]
        behind = None
        if len(rows) > limit:
            behind = encode_cursor((items[-1].started_at.isoformat(), str(items[-1].id)), scope)
        return CursorPage(items=items, next_cursor=behind, limit=limit)


async def _require_plan(reader: Reader, plan_id: UUID, principal: Principal) -> None:
    if await reader.fetchrow(_HAS_PLAN, plan_id, principal.user_id) is None:
        raise NotFound


def _position(cursor: str, scope: object) -> tuple[datetime, UUID]:
    moment, key = decode_cursor(cursor, scope, 2)
    try:
        return datetime.fromisoformat(str(moment)).astimezone(UTC), UUID(str(key))
    except (ValueError, OverflowError):
        raise RuleBroken.of("cursor", "This is not a cursor of this list.", "pattern") from None
