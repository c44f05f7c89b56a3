"""Running plans, workouts and runs: always the caller's own. Every statement here is limited to them.

Whoever writes to the plans, workouts or runs of a user holds that user's row first: so they take turns, and each sees
what the one before has left.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec import UNSET, Struct
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.paging import Precondition, Versioned
from app.db.timezones import canonical_timezone
from app.db.transaction import raw_connection
from app.domain.running.documents import PLANS, WORKOUTS, read_run
from app.domain.running.dto import (
    NewPlanWorkout,
    NewRun,
    NewRunningPlan,
    NewSplit,
    RecordedRun,
    Run,
    RunChange,
    RunningPlan,
    RunningPlanChange,
    RunningWorkout,
    RunningWorkoutChange,
    WholeRun,
)
from app.domain.running.models import RunningPlanStatus, RunSource, WorkoutType
from app.domain.running.recording import RunValues, StoredRun, as_json, hold_runner, record_runs
from app.domain.running.rules import (
    duration_of,
    gathered,
    refuse,
    wrong_dates,
    wrong_pace,
    wrong_plan,
    wrong_workout,
)
from app.errors import BrokenField, Conflict, NotFound, RuleBroken
from app.http.fields import decode_hook
from app.security.principal import Principal

__all__ = (
    "RunService",
    "RunValues",
    "RunningPlanService",
    "RunningWorkoutService",
    "StoredRun",
    "hold_runner",
    "record_runs",
)

S = TypeVar("S", bound=Struct)

_NAMED_WORKOUTS: Final = 10
"""How many workouts a 422 names."""

_PLAN: Final = """
SELECT version, name, description, start_date, end_date, goal_race_date, status
FROM running_plans WHERE id = $1 AND user_id = $2 FOR NO KEY UPDATE
"""
_INSERT_PLAN: Final = """
INSERT INTO running_plans (id, user_id, name, description, start_date, end_date, goal_race_date, status)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_UPDATE_PLAN: Final = """
UPDATE running_plans
SET name = $2, description = $3, start_date = $4, end_date = $5, goal_race_date = $6, status = $7
WHERE id = $1
"""
_OUTSIDE: Final = f"""
SELECT name, scheduled_date, scheduled_date < $2 AS is_before FROM running_workouts
WHERE plan_id = $1 AND scheduled_date NOT BETWEEN $2 AND $3 ORDER BY scheduled_date, id LIMIT {_NAMED_WORKOUTS}
"""  # noqa: S608
_DELETE_PLAN: Final = "DELETE FROM running_plans WHERE id = $1"

_WORKOUT: Final = """
SELECT w.version, w.plan_id, w.name, w.workout_type, w.planned_distance_km, w.target_pace_min_sec,
    w.target_pace_max_sec, w.scheduled_date, w.notes, p.start_date, p.end_date
FROM running_workouts w JOIN running_plans p ON p.id = w.plan_id
WHERE w.id = $1 AND p.user_id = $2 FOR NO KEY UPDATE OF w
"""
_INSERT_WORKOUT: Final = """
INSERT INTO running_workouts (id, plan_id, name, workout_type, planned_distance_km, target_pace_min_sec,
    target_pace_max_sec, scheduled_date, notes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_UPDATE_WORKOUT: Final = """
UPDATE running_workouts
SET name = $2, workout_type = $3, planned_distance_km = $4, target_pace_min_sec = $5, target_pace_max_sec = $6,
    scheduled_date = $7, notes = $8
WHERE id = $1
"""
_DELETE_WORKOUT: Final = "DELETE FROM running_workouts WHERE id = $1"

_RUN: Final = """
SELECT version, plan_id, workout_id, started_at, user_timezone, distance_km, duration_seconds, elapsed_seconds,
    avg_heart_rate, elevation_gain_m, perceived_effort, source, external_id, notes, splits::text AS splits
FROM runs WHERE id = $1 AND user_id = $2 FOR NO KEY UPDATE
"""
_UPDATE_RUN: Final = """
UPDATE runs
SET plan_id = $2, workout_id = $3, started_at = $4, user_timezone = $5, distance_km = $6, duration_seconds = $7,
    elapsed_seconds = $8, avg_heart_rate = $9, elevation_gain_m = $10, perceived_effort = $11, source = $12,
    external_id = $13, notes = $14, splits = $15::text::jsonb
WHERE id = $1
"""
_DELETE_RUN: Final = "DELETE FROM runs WHERE id = $1"
_LINKED: Final = """
SELECT (SELECT w.plan_id FROM running_workouts w JOIN running_plans p ON p.id = w.plan_id
        WHERE w.id = $2 AND p.user_id = $1) AS workout_plan,
    EXISTS (SELECT FROM running_plans p WHERE p.id = $3 AND p.user_id = $1) AS has_plan
"""

_splits = msgspec.json.Decoder(list[NewSplit], dec_hook=decode_hook)


class _Writer:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def _locked(self, statement: str, key: UUID, principal: Principal, precondition: Precondition) -> Record:
        """The row of a root, after all other writers of its owner."""
        await hold_runner(self._session, principal.user_id)
        connection = await raw_connection(self._session)
        row = await connection.fetchrow(statement, key, principal.user_id)
        if row is None:
            raise NotFound
        precondition.check(row["version"])
        return row


class RunningPlanService(_Writer):
    """Makes, changes and deletes running plans."""

    async def create(self, data: NewRunningPlan, principal: Principal) -> Versioned[RunningPlan]:
        """Make a plan without workouts.

        Raises:
            RuleBroken: its dates do not go together.
        """
        refuse(wrong_plan(data.start_date, data.end_date, data.goal_race_date))
        # SQLAlchemy's first statement begins the transaction.
        await hold_runner(self._session, principal.user_id)
        connection, plan_id = await raw_connection(self._session), uuid7()
        await connection.execute(_INSERT_PLAN, plan_id, principal.user_id, *_plan_columns(data))
        return await PLANS.read(connection, plan_id, principal.user_id)

    async def replace(
        self, plan_id: UUID, data: NewRunningPlan, principal: Principal, precondition: Precondition
    ) -> Versioned[RunningPlan]:
        """Put a whole plan in the place of what is stored; its workouts stay.

        Raises:
            NotFound: the caller has no such plan.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: its dates do not go together, or a workout would lie outside.
        """
        await self._locked(_PLAN, plan_id, principal, precondition)
        return await self._store(plan_id, data, principal)

    async def change(
        self, plan_id: UUID, data: RunningPlanChange, principal: Principal, precondition: Precondition
    ) -> Versioned[RunningPlan]:
        """Change what a body gives, and check the plan as a whole.

        Raises:
            NotFound: the caller has no such plan.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: its dates do not go together, or a workout would lie outside.
        """
        row = await self._locked(_PLAN, plan_id, principal, precondition)
        stored = {**row, "status": RunningPlanStatus(row["status"])}
        return await self._store(plan_id, _merged(NewRunningPlan, stored, data), principal)

    async def delete(self, plan_id: UUID, principal: Principal, precondition: Precondition) -> None:
        """Delete a plan with its workouts; the runs stay.

        Raises:
            NotFound: the caller has no such plan.
            PreconditionFailed: it was changed in the meantime.
        """
        await self._locked(_PLAN, plan_id, principal, precondition)
        await (await raw_connection(self._session)).execute(_DELETE_PLAN, plan_id)

    async def _store(self, plan_id: UUID, data: NewRunningPlan, principal: Principal) -> Versioned[RunningPlan]:
        refuse(wrong_plan(data.start_date, data.end_date, data.goal_race_date))
        connection = await raw_connection(self._session)
        outside = await connection.fetch(_OUTSIDE, plan_id, data.start_date, data.end_date)
        refuse([_outside(row) for row in outside])
        await connection.execute(_UPDATE_PLAN, plan_id, *_plan_columns(data))
        return await PLANS.read(connection, plan_id, principal.user_id)


class RunningWorkoutService(_Writer):
    """Makes, changes and deletes the workouts of running plans."""

    async def create(self, data: NewPlanWorkout, plan_id: UUID, principal: Principal) -> Versioned[RunningWorkout]:
        """Make a workout in a plan of the caller.

        Raises:
            NotFound: the caller has no such plan.
            RuleBroken: what it asks for does not go together, or it lies outside of the plan.
        """
        plan = await self._locked(_PLAN, plan_id, principal, Precondition())
        _check_workout(data, plan_id, plan)
        connection, workout_id = await raw_connection(self._session), uuid7()
        await connection.execute(_INSERT_WORKOUT, workout_id, plan_id, *_workout_columns(data))
        return await WORKOUTS.read(connection, workout_id, principal.user_id)

    async def replace(
        self,
        workout_id: UUID,
        data: NewPlanWorkout,
        principal: Principal,
        precondition: Precondition,
        plan_id: UUID | None = None,
    ) -> Versioned[RunningWorkout]:
        """Put a whole workout in the place of what is stored.

        Args:
            plan_id: of which plan, where the path says it.

        Raises:
            NotFound: the caller has no such workout.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: what it asks for does not go together, or it lies outside of the plan.
        """
        row = await self._locked_workout(workout_id, principal, precondition, plan_id)
        return await self._store(workout_id, data, row, principal)

    async def change(
        self,
        workout_id: UUID,
        data: RunningWorkoutChange,
        principal: Principal,
        precondition: Precondition,
        plan_id: UUID | None = None,
    ) -> Versioned[RunningWorkout]:
        """Change what a body gives, and check the workout as a whole.

        Args:
            plan_id: of which plan, where the path says it.

        Raises:
            NotFound: the caller has no such workout.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: what it asks for does not go together, or it lies outside of the plan.
        """
        row = await self._locked_workout(workout_id, principal, precondition, plan_id)
        stored = {**row, "workout_type": WorkoutType(row["workout_type"])}
        return await self._store(workout_id, _merged(NewPlanWorkout, stored, data), row, principal)

    async def delete(
        self, workout_id: UUID, principal: Principal, precondition: Precondition, plan_id: UUID | None = None
    ) -> None:
        """Delete a workout; its runs stay in the plan.

        Args:
            plan_id: of which plan, where the path says it.

        Raises:
            NotFound: the caller has no such workout.
            PreconditionFailed: it was changed in the meantime.
        """
        await self._locked_workout(workout_id, principal, precondition, plan_id)
        await (await raw_connection(self._session)).execute(_DELETE_WORKOUT, workout_id)

    async def _locked_workout(
        self, workout_id: UUID, principal: Principal, precondition: Precondition, plan_id: UUID | None
    ) -> Record:
        row = await self._locked(_WORKOUT, workout_id, principal, precondition)
        if plan_id not in {None, row["plan_id"]}:
            raise NotFound
        return row

    async def _store(
        self, workout_id: UUID, data: NewPlanWorkout, stored: Record, principal: Principal
    ) -> Versioned[RunningWorkout]:
        _check_workout(data, stored["plan_id"], stored)
        connection = await raw_connection(self._session)
        await connection.execute(_UPDATE_WORKOUT, workout_id, *_workout_columns(data))
        return await WORKOUTS.read(connection, workout_id, principal.user_id)


class RunService(_Writer):
    """Records, changes and deletes runs."""

    async def create(self, data: NewRun, principal: Principal, plan_id: UUID | None = None) -> Versioned[RecordedRun]:
        """Record a run, and link it to its workout.

        Args:
            plan_id: to which plan it belongs, where the path says it.

        Raises:
            NotFound: the caller has no such plan or workout.
            RuleBroken: its figures do not go together, its workout is of another plan, or the time zone is unknown.
            Conflict: there is a run of this source and external id.
        """
        if plan_id and data.plan_id not in {None, plan_id}:
            for named in (plan_id, data.plan_id):
                await self._linked_plan(None, named, principal)
            raise RuleBroken.of("planId", "The path names another plan.")
        values = await self._values(data, principal, data.plan_id or plan_id)
        values.auto_match = data.auto_match
        [stored] = await record_runs(self._session, principal.user_id, [values])
        if not stored.is_new:
            raise Conflict("This run was recorded already.")
        kept = await read_run(await raw_connection(self._session), stored.run_id, principal.user_id)
        fields = msgspec.structs.asdict(kept.document)
        return Versioned(RecordedRun(**fields, auto_matched=stored.auto_matched), kept.version)

    async def replace(
        self, run_id: UUID, data: WholeRun, principal: Principal, precondition: Precondition
    ) -> Versioned[Run]:
        """Put a whole run in the place of what is stored.

        Raises:
            NotFound: the caller has no such run, plan or workout.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: its figures do not go together, its workout is of another plan, or the time zone is unknown.
            Conflict: another run has this source and external id.
        """
        await self._locked(_RUN, run_id, principal, precondition)
        return await self._store(run_id, await self._values(data, principal, data.plan_id), principal)

    async def change(
        self, run_id: UUID, data: RunChange, principal: Principal, precondition: Precondition
    ) -> Versioned[Run]:
        """Change what a body gives, and check the run as a whole. A workout brings its plan with it, and a pace without
        a duration makes one.

        Raises:
            NotFound: the caller has no such run, plan or workout.
            PreconditionFailed: it was changed in the meantime.
            RuleBroken: its figures do not go together, its workout is of another plan, or the time zone is unknown.
            Conflict: another run has this source and external id.
        """
        row = await self._locked(_RUN, run_id, principal, precondition)
        stored = {
            **row,
            "source": RunSource(row["source"]),
            "splits": _splits.decode(row["splits"]) if row["splits"] else None,
        }
        if data.pace_sec_per_km is not UNSET:
            stored["duration_seconds"] = None
        if data.plan_id is UNSET and data.workout_id not in {UNSET, None}:
            stored["plan_id"] = None
        merged = _merged(WholeRun, stored, data)
        return await self._store(run_id, await self._values(merged, principal, merged.plan_id), principal)

    async def delete(self, run_id: UUID, principal: Principal, precondition: Precondition) -> None:
        """Delete a run for good.

        Raises:
            NotFound: the caller has no such run.
            PreconditionFailed: it was changed in the meantime.
        """
        await self._locked(_RUN, run_id, principal, precondition)
        # A trigger leaves the tombstone.
        await (await raw_connection(self._session)).execute(_DELETE_RUN, run_id)

    async def _values(self, data: WholeRun, principal: Principal, plan_id: UUID | None) -> RunValues:
        broken = list(wrong_pace(data.distance_km, data.duration_seconds, data.pace_sec_per_km))
        zone, plan = principal.timezone, None
        with gathered(broken):
            zone = await self._zone(data, principal)
        with gathered(broken):
            plan = await self._linked_plan(data.workout_id, plan_id, principal)
        values = RunValues(
            started_at=data.started_at,
            user_timezone=zone,
            distance_km=data.distance_km,
            duration_seconds=duration_of(data.distance_km, data.duration_seconds, data.pace_sec_per_km),
            elapsed_seconds=data.elapsed_seconds,
            avg_heart_rate=data.avg_heart_rate,
            elevation_gain_m=data.elevation_gain_m,
            perceived_effort=data.perceived_effort,
            source=data.source,
            external_id=data.external_id,
            notes=data.notes,
            splits=data.splits,
            plan_id=plan,
            workout_id=data.workout_id,
        )
        refuse([*broken, *values.broken()])
        return values

    async def _zone(self, data: WholeRun, principal: Principal) -> str:
        if data.user_timezone is None:
            return principal.timezone
        return await canonical_timezone(self._session, data.user_timezone, "userTimezone")

    async def _linked_plan(self, workout_id: UUID | None, plan_id: UUID | None, principal: Principal) -> UUID | None:
        """The plan of a run: its workout's, where it has one."""
        if not (workout_id or plan_id):
            return None
        connection = await raw_connection(self._session)
        workout_plan, has_plan = await connection.fetchrow(_LINKED, principal.user_id, workout_id, plan_id)
        if workout_id and workout_plan is None:
            raise NotFound("You have no such workout.")
        if plan_id and not has_plan:
            raise NotFound("You have no such plan.")
        if workout_id and plan_id not in {None, workout_plan}:
            raise RuleBroken.of("planId", "The workout is of another plan.")
        found: UUID | None = workout_plan or plan_id
        return found

    async def _store(self, run_id: UUID, values: RunValues, principal: Principal) -> Versioned[Run]:
        connection = await raw_connection(self._session)
        await connection.execute(
            _UPDATE_RUN,
            run_id,
            values.plan_id,
            values.workout_id,
            values.started_at,
            values.user_timezone,
            values.distance_km,
            values.duration_seconds,
            values.elapsed_seconds,
            values.avg_heart_rate,
            values.elevation_gain_m,
            values.perceived_effort,
            values.source,
            values.external_id,
            values.notes,
            as_json(values.splits) if values.splits else None,
        )
        return await read_run(connection, run_id, principal.user_id)


def _merged(kind: type[S], stored: Mapping[str, Any], change: Struct) -> S:
    """The document that a change makes (RFC 7396): absent keeps, null clears."""
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    known = {name: stored[name] for name in kind.__struct_fields__ if name in stored}
    return kind(**{**known, **given})


def _plan_columns(data: NewRunningPlan) -> tuple[Any, ...]:
    return data.name, data.description, data.start_date, data.end_date, data.goal_race_date, data.status


def _workout_columns(data: NewPlanWorkout) -> tuple[Any, ...]:
    return (
        data.name,
        data.workout_type,
        data.planned_distance_km,
        data.target_pace_min_sec,
        data.target_pace_max_sec,
        data.scheduled_date,
        data.notes,
    )


def _check_workout(data: NewPlanWorkout, plan_id: UUID, plan: Record) -> None:
    """Refuse a workout that breaks rules, by itself or within its plan.

    Raises:
        RuleBroken: naming all of them.
    """
    day = data.scheduled_date
    broken = list(wrong_dates(scheduledDate=day))
    if day and not broken and not plan["start_date"] <= day <= plan["end_date"]:
        span = f"{plan['start_date']} to {plan['end_date']}"
        broken.append(BrokenField("rule", "scheduledDate", f"The plan is from {span}."))
    if data.plan_id not in {None, plan_id}:
        broken.append(BrokenField("rule", "planId", "A workout is of its plan for good."))
    broken += wrong_workout(
        data.workout_type, data.planned_distance_km, data.target_pace_min_sec, data.target_pace_max_sec
    )
    refuse(broken)


def _outside(workout: Record) -> BrokenField:
    field = "startDate" if workout["is_before"] else "endDate"
    message = f"The workout “{workout['name']}” on {workout['scheduled_date']} would lie outside of the plan."
    return BrokenField("rule", field, message)
