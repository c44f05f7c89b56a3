"""What is kept of the sums of runs is what all runs add up to, whatever is done with them."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.base import uuid7
from app.db.transaction import Transactions
from app.domain.running.recording import RunValues, record_runs
from app.plugin import IronTrackPlugin
from tests.actors import Actor
from tests.conftest import MakeActor
from tests.running.steps import PLANS, RUNS, Connection, record
from tests.servers import Database, driver_url
from tests.service import Service

PLACES = 6
MARKS = {"fastest_1": 1, "fastest_5": 5, "fastest_10": 10, "fastest_half": 21.0975, "fastest_marathon": 42.195}
ZONES = ["UTC", "America/Los_Angeles", "Pacific/Kiritimati"]

Run = dict[str, Any]


def start_of(period: str, day: date) -> date:
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "year":
            return date.fromisocalendar(day.isocalendar().year, 1, 1)
    return date.min


def figures(period: str, runs: list[Run]) -> Run:
    """What runs of one period add up to."""
    best: Run = {}
    for name, least in (*MARKS.items(), ("best_effort", 3)):
        power = 1.06 if name == "best_effort" else 1
        long = [run for run in runs if float(run["distance_km"]) >= least]
        first = min(long, key=lambda run: (_pace(run, power), run["id"]), default=None)
        best[name] = pytest.approx(_pace(first, power), rel=1e-12) if first else None
        best[f"{name}_run"] = first and first["id"]
    longest = min(runs, key=lambda run: (-run["distance_km"], run["id"]))
    return {
        "runs": len(runs),
        "distance_km": sum(run["distance_km"] for run in runs),
        "duration_seconds": sum(run["duration_seconds"] for run in runs),
        "iso_weeks": sum({1 << (run["local_date"].isocalendar().week - 1) for run in runs})
        if period == "year"
        else None,
        "longest": longest["distance_km"],
        "longest_run": longest["id"],
        **best,
    }


def _pace(run: Run, power: float) -> float:
    pace: float = run["duration_seconds"] / float(run["distance_km"]) ** power
    return pace


async def assert_right(connection: Connection) -> None:
    """Compare what is kept with what all runs of everybody add up to."""
    groups: dict[tuple[UUID, str, date], list[Run]] = {}
    plans: dict[UUID, list[Run]] = {}
    for row in await connection.fetch("SELECT * FROM runs"):
        for period in ("day", "week", "year", "ever"):
            key = row["user_id"], period, start_of(period, row["local_date"])
            groups.setdefault(key, []).append(dict(row))
        if row["plan_id"]:
            plans.setdefault(row["plan_id"], []).append(dict(row))
    kept = {}
    for row in await connection.fetch("SELECT * FROM run_totals"):
        values = dict(row)
        kept[values.pop("user_id"), values.pop("period"), values.pop("starts_on")] = values
    assert kept.keys() == groups.keys()
    for key, runs in groups.items():
        assert kept[key] == figures(key[1], runs), key
    sums = await connection.fetch("SELECT * FROM plan_run_totals WHERE (runs, distance_km) <> (0, 0)")
    assert {row["plan_id"]: (row["runs"], row["distance_km"]) for row in sums} == {
        plan: (len(runs), sum(run["distance_km"] for run in runs)) for plan, runs in plans.items()
    }


INSERT = """
INSERT INTO runs (id, user_id, plan_id, started_at, user_timezone, distance_km, duration_seconds)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
NOON = datetime(2026, 12, 28, 12, tzinfo=UTC)
METRES = st.sampled_from([500, 1000, 5000, 10_000, 21_098, 42_195, 50_000]) | st.integers(50, 60_000)
VALUES = st.tuples(
    st.integers(-400, 400).map(lambda hours: NOON + timedelta(hours=6 * hours)),
    st.sampled_from(ZONES),
    METRES.map(lambda metres: Decimal(metres) / 1000),
    st.sampled_from([240, 300, 330]) | st.integers(60, 3600),
)
PLACE = st.integers(0, PLACES - 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.lists(VALUES, min_size=1, max_size=5), PLACE),
        st.tuples(st.just("insert"), st.lists(VALUES, min_size=1, max_size=5), PLACE),
        st.tuples(st.just("change"), VALUES, PLACE),
        st.tuples(st.just("delete"), st.none(), PLACE),
        st.tuples(st.just("move"), st.none(), PLACE),
        st.tuples(st.just("delete_plan"), st.none(), PLACE),
        st.tuples(st.just("begin"), st.none(), PLACE),
        st.tuples(st.just("commit"), st.none(), PLACE),
        st.tuples(st.just("rollback"), st.none(), PLACE),
    ),
    min_size=4,
    max_size=15,
)


class Steps:
    """Changes by plain SQL, each in a transaction of its own or several in one."""

    def __init__(self, connection: Connection, users: list[UUID]) -> None:
        self.connection = connection
        self.users = users
        self._open: Any = None

    async def insert(self, runs: list[tuple[datetime, str, Decimal, int]], place: int) -> None:
        user = self.users[place % 2]
        plan = await self._plan(user) if place % 3 else None
        rows = [(uuid7(), user, plan, start, zone, km, max(1, round(km * pace))) for start, zone, km, pace in runs]
        rows = [row for row in rows if 60 * row[5] <= row[6] <= 3600 * row[5]]
        await self.connection.executemany(INSERT, rows)

    async def change(self, values: tuple[datetime, str, Decimal, int], place: int) -> None:
        start, zone, km, pace = values
        if run := await self._run(place):
            await self.connection.execute(
                "UPDATE runs SET started_at = $2, user_timezone = $3, distance_km = $4, duration_seconds = $5"
                " WHERE id = $1",
                run,
                start,
                zone,
                km,
                min(max(round(km * pace), math.ceil(60 * km)), int(3600 * km)),
            )

    async def delete(self, _: None, place: int) -> None:
        await self.connection.execute("DELETE FROM runs WHERE id = $1", await self._run(place))

    async def move(self, _: None, place: int) -> None:
        await self.connection.execute(
            "UPDATE runs r SET plan_id = (SELECT id FROM running_plans p WHERE p.user_id = r.user_id LIMIT 1)"
            " WHERE user_id = $1",
            self.users[place % 2],
        )

    async def delete_plan(self, _: None, place: int) -> None:
        await self.connection.execute("DELETE FROM running_plans WHERE user_id = $1", self.users[place % 2])

    async def begin(self, *_: object) -> None:
        if self._open is None:
            self._open = self.connection.transaction()
            await self._open.start()

    async def commit(self, *_: object) -> None:
        if self._open is not None:
            await self._open.commit()
            self._open = None

    async def rollback(self, *_: object) -> None:
        if self._open is not None:
            await self._open.rollback()
            self._open = None

    async def _run(self, place: int) -> UUID | None:
        found: UUID | None = await self.connection.fetchval("SELECT id FROM runs ORDER BY id OFFSET $1 LIMIT 1", place)
        return found

    async def _plan(self, user: UUID) -> UUID:
        plan: UUID | None = await self.connection.fetchval("SELECT id FROM running_plans WHERE user_id = $1", user)
        if plan is None:
            plan = uuid7()
            await self.connection.execute(
                "INSERT INTO running_plans (id, user_id, name, start_date, end_date)"
                " VALUES ($1, $2, 'p', '2026-01-01', '2026-12-31')",
                plan,
                user,
            )
        return plan


class TestTotals:
    @given(steps=STEPS)
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    async def test_are_those_of_all_runs_after_any_steps(
        self, athlete: Actor, other_athlete: Actor, connection: Connection, steps: list[tuple[str, Any, int]]
    ) -> None:
        changes = Steps(connection, [athlete.id, other_athlete.id])
        try:
            for name, value, place in steps:
                await getattr(changes, name)(value, place)
            await changes.commit()
            await assert_right(connection)
        finally:
            await changes.rollback()
            await connection.execute("DELETE FROM runs")
            await connection.execute("DELETE FROM running_plans")
        assert not await connection.fetchval("SELECT count(*) FROM run_totals")

    async def test_are_right_when_many_write_at_once(self, athlete: Actor, connection: Connection) -> None:
        runs = await asyncio.gather(
            *(record(athlete, startedAt=f"2026-06-1{n % 3}T0{n % 7}:00:00Z", distanceKm=10 + n) for n in range(20))
        )
        await asyncio.gather(
            *(athlete.client.delete(f"{RUNS}/{run['id']}") for run in runs[:8]),
            *(athlete.client.patch(f"{RUNS}/{run['id']}", json={"distanceKm": 9}) for run in runs[8:12]),
            *(record(athlete) for _ in range(4)),
        )
        assert await connection.fetchval("SELECT runs FROM run_totals WHERE period = 'ever'") == 16
        await assert_right(connection)

    async def test_are_right_when_many_write_past_the_service(
        self, athlete: Actor, connection: Connection, database: Database
    ) -> None:
        writers = [await asyncpg.connect(driver_url(database.url)) for _ in range(4)]

        async def write(writer: Connection) -> None:
            for n in range(15):
                await writer.execute(INSERT, uuid7(), athlete.id, None, NOON + n * timedelta(days=1), "UTC", 5, 1500)

        await asyncio.gather(*map(write, writers))
        for writer in writers:
            await writer.close()
        await assert_right(connection)

    async def test_wait_for_nobody_before_the_commit(
        self, athlete: Actor, connection: Connection, database: Database
    ) -> None:
        other = await asyncpg.connect(driver_url(database.url))
        async with connection.transaction():
            await connection.execute(INSERT, uuid7(), athlete.id, None, NOON, "UTC", 5, 1500)
            await other.execute(INSERT, uuid7(), athlete.id, None, NOON, "UTC", 6, 1500)
        await other.close()
        await assert_right(connection)

    async def test_go_with_the_account(self, make_actor: MakeActor, connection: Connection) -> None:
        actor = await make_actor()
        plan = (
            await actor.client.post(
                PLANS, json={"name": "p", "startDate": "2026-06-01", "endDate": "2026-06-30", "status": "active"}
            )
        ).json()
        await record(actor, planId=plan["id"])
        answer = await actor.client.request("DELETE", "/api/v1/access/me", json={"password": actor.password})
        assert answer.status_code == 204, answer.text
        assert not await connection.fetchval("SELECT count(*) FROM run_totals")
        assert not await connection.fetchval("SELECT count(*) FROM plan_run_totals")


@pytest.fixture
def values() -> Callable[..., RunValues]:
    """Runs of one day, as an import stores them."""

    def make(**changes: Any) -> RunValues:
        start = datetime(2026, 6, 10, 6, tzinfo=ZoneInfo("UTC"))
        usual = {"started_at": start, "user_timezone": "UTC", "distance_km": Decimal(10), "duration_seconds": 3000}
        return RunValues(**{**usual, **changes})

    return make


def transactions_of(service: Service) -> Transactions:
    return service.litestar.plugins.get(IronTrackPlugin).resources.transactions


async def plan_workouts(connection: Connection, actor: Actor, *distances: int) -> tuple[UUID, list[UUID]]:
    """An active plan with a workout of each distance, all on one day."""
    plan, workouts = uuid7(), [uuid7() for _ in distances]
    await connection.execute(
        "INSERT INTO running_plans (id, user_id, name, start_date, end_date, status)"
        " VALUES ($1, $2, 'p', '2026-06-01', '2026-06-30', 'active')",
        plan,
        actor.id,
    )
    for workout, km in zip(workouts, distances, strict=True):
        await connection.execute(
            "INSERT INTO running_workouts (id, plan_id, name, workout_type, planned_distance_km, scheduled_date)"
            " VALUES ($1, $2, 'w', 'easy', $3, '2026-06-10')",
            workout,
            plan,
            km,
        )
    return plan, workouts


class TestRecording:
    async def test_stores_each_once(
        self, athlete: Actor, connection: Connection, service: Service, values: Callable[..., RunValues]
    ) -> None:
        batch = [values(external_id=key, notes=key) for key in ("a", "b", "a")] + [values(), values()]
        async with transactions_of(service).begin() as session:
            first = await record_runs(session, athlete.id, batch)
        async with transactions_of(service).begin() as session:
            again = await record_runs(session, athlete.id, batch[:3])
        assert [stored.is_new for stored in first] == [True, True, False, True, True]
        assert first[0].run_id == first[2].run_id
        assert [(stored.run_id, stored.is_new) for stored in again] == [(stored.run_id, False) for stored in first[:3]]
        assert await connection.fetchval("SELECT count(*) FROM runs") == 4
        await assert_right(connection)

    async def test_links_each_workout_once(
        self, athlete: Actor, connection: Connection, service: Service, values: Callable[..., RunValues]
    ) -> None:
        await plan_workouts(connection, athlete, 9, 12)
        async with transactions_of(service).begin() as session:
            stored = await record_runs(session, athlete.id, [values(), values(), values()])
        assert [outcome.auto_matched for outcome in stored] == [True, True, False]
        rows = await connection.fetch(
            "SELECT r.version, w.planned_distance_km FROM runs r LEFT JOIN running_workouts w ON w.id = r.workout_id"
            " ORDER BY r.id"
        )
        assert [tuple(row) for row in rows] == [(1, 9), (1, 12), (1, None)]

    async def test_leaves_what_another_run_of_the_call_names(
        self, athlete: Actor, connection: Connection, service: Service, values: Callable[..., RunValues]
    ) -> None:
        plan, [named, other] = await plan_workouts(connection, athlete, 10, 20)
        runs = [values(), values(plan_id=plan, workout_id=named), values()]
        async with transactions_of(service).begin() as session:
            stored = await record_runs(session, athlete.id, runs)
        assert [outcome.workout_id for outcome in stored] == [other, named, None]
        assert [outcome.auto_matched for outcome in stored] == [True, False, False]
