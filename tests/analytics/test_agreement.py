"""After whatever was sent, all figures are those that follow from the lists of runs and workouts."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.actors import Actor
from tests.running.steps import PLANS, RUNS, SUMMARY, WORKOUTS, Connection, Document, day, get, make_plan, make_workout

RUNNING_TYPES = {"easy", "tempo", "long", "speed", "recovery"}
WEEK = timedelta(days=7)

METRES = st.sampled_from([500, 1000, 3000, 5000, 10_000, 21_098, 42_195]) | st.integers(50, 60_000)
QUARTERS = st.integers(-4 * 22, 0) | st.integers(-4 * 400, 0)
PLACE = st.integers(0, 5)
RUN = st.fixed_dictionaries(
    {
        "startedAt": QUARTERS.map(lambda quarter: f"{day(quarter // 4)}T{quarter % 4 * 6:02}:00:00Z"),
        "userTimezone": st.sampled_from(["UTC", "America/Los_Angeles", "Pacific/Kiritimati", "Europe/Berlin"]),
        "distanceKm": METRES.map(lambda metres: metres / 1000),
        "paceSecPerKm": st.sampled_from([240, 300, 330]) | st.integers(100, 3000),
    }
)
WORKOUT = st.fixed_dictionaries(
    {
        "workoutType": st.sampled_from(["easy", "long", "cross_training"]),
        "plannedDistanceKm": st.integers(1, 30),
        "scheduledDate": st.integers(-20, 10).map(day) | st.none(),
    }
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), RUN, PLACE),
        st.tuples(st.just("record"), RUN, PLACE),
        st.tuples(st.just("put"), RUN, PLACE),
        st.tuples(st.just("patch"), RUN, PLACE),
        st.tuples(st.just("delete"), st.none(), PLACE),
        st.tuples(st.just("plan_workout"), WORKOUT, PLACE),
        st.tuples(st.just("delete_workout"), st.none(), PLACE),
        st.tuples(st.just("delete_plan"), st.none(), PLACE),
    ),
    max_size=12,
)
DATES = st.none() | st.integers(-400, 0).map(day)


class Runner:
    """Somebody who plans and runs over HTTP."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    async def record(self, run: Document, place: int) -> None:
        plans = await self.all(PLANS)
        link = {"planId": plans[place % len(plans)]["id"]} if plans and place % 3 == 0 else {}
        await self._send("POST", RUNS, {**run, **link})

    async def put(self, run: Document, place: int) -> None:
        if stored := await self._one(RUNS, place):
            await self._send("PUT", f"{RUNS}/{stored['id']}", {**run, "planId": stored["planId"]})

    async def patch(self, run: Document, place: int) -> None:
        if stored := await self._one(RUNS, place):
            changes = {name: value for count, (name, value) in enumerate(run.items()) if count != place}
            workout = await self._one(WORKOUTS, place) if place % 2 else None
            await self._send("PATCH", f"{RUNS}/{stored['id']}", {**changes, "workoutId": workout and workout["id"]})

    async def delete(self, _: None, place: int) -> None:
        await self._delete(RUNS, place)

    async def plan_workout(self, workout: Document, place: int) -> None:
        if plan := await self._one(PLANS, place):
            await make_workout(self.actor, plan, **workout)

    async def delete_workout(self, _: None, place: int) -> None:
        await self._delete(WORKOUTS, place)

    async def delete_plan(self, _: None, place: int) -> None:
        await self._delete(PLANS, place)

    async def all(self, place: str, **query: Any) -> list[Document]:
        items: list[Document] = (await get(self.actor, place, pageSize=100, **query))["items"]
        return items

    async def _one(self, place: str, number: int) -> Document | None:
        items = await self.all(place)
        return items[number % len(items)] if items else None

    async def _delete(self, place: str, number: int) -> None:
        if found := await self._one(place, number):
            await self._send("DELETE", f"{place}/{found['id']}")

    async def _send(self, method: str, path: str, body: Document | None = None) -> None:
        answer = await self.actor.client.request(method, path, json=body)
        # A distance or a pace alone may not fit the rest of the run; then nothing changes.
        assert answer.is_success or (method == "PATCH" and answer.status_code == 422), answer.text


def effort(run: Document, power: float = 1) -> float:
    seconds: float = run["durationSeconds"] / run["distanceKm"] ** power
    return seconds


def week_of(text: str) -> date:
    on = date.fromisoformat(text)
    return on - timedelta(days=on.weekday())


def in_a_row(mondays: set[date]) -> Iterator[tuple[date, int]]:
    """The last week of each streak, and how long it is."""
    for monday in sorted(mondays):
        if monday + WEEK not in mondays:
            length = 1
            while monday - length * WEEK in mondays:
                length += 1
            yield monday, length


def summary_of(runs: list[Document], all_runs: list[Document], today: date) -> Document:
    """The figures of a summary but its predictions and plans, reckoned from the runs of its days and from all."""
    oldest_first = sorted(runs, key=lambda run: run["id"])
    metres = sum(round(run["distanceKm"] * 1000) for run in runs)
    seconds = sum(run["durationSeconds"] for run in runs)
    weeks: dict[date, list[Document]] = {}
    for run in runs:
        weeks.setdefault(week_of(run["localDate"]), []).append(run)
    long_enough = [
        (mark, [run for run in oldest_first if run["distanceKm"] >= mark]) for mark in (1, 5, 10, 21.0975, 42.195)
    ]
    streaks = dict(in_a_row({week_of(run["localDate"]) for run in all_runs}))
    this = week_of(today.isoformat())
    return {
        "totalRuns": len(runs),
        "totalDistanceKm": metres / 1000,
        "totalDurationSeconds": seconds,
        "meanPaceSecPerKm": pytest.approx(1000 * seconds / metres) if runs else None,
        "longestRun": max(oldest_first, key=lambda run: run["distanceKm"], default=None),
        "fastest": [{"distanceKm": mark, "run": min(long, key=effort)} for mark, long in long_enough if long],
        "currentStreakWeeks": streaks.get(this, streaks.get(this - WEEK, 0)),
        "longestStreakWeeks": max(streaks.values(), default=0),
        "weeks": [
            {
                "isoYear": monday.isocalendar().year,
                "isoWeek": monday.isocalendar().week,
                "distanceKm": sum(round(run["distanceKm"] * 1000) for run in weeks[monday]) / 1000,
                "runs": len(weeks[monday]),
            }
            for monday in sorted(weeks)
        ],
    }


def progress_of(plan: Document, workouts: list[Document], runs: list[Document], today: date) -> Document:
    """How far a plan has come, reckoned from its workouts and all runs."""
    counted = [workout for workout in workouts if workout["workoutType"] in RUNNING_TYPES]
    fulfilled = {run["workoutId"] for run in runs}
    done = [workout for workout in counted if workout["id"] in fulfilled]
    missed = [
        workout
        for workout in counted
        if workout not in done and workout["scheduledDate"] and workout["scheduledDate"] < today.isoformat()
    ]
    to_date = [
        workout for workout in counted if workout["scheduledDate"] and workout["scheduledDate"] <= today.isoformat()
    ]
    metres = sum(round(run["distanceKm"] * 1000) for run in runs if run["planId"] == plan["id"])
    planned = sum(workout["plannedDistanceKm"] for workout in to_date)
    return {
        "totalWorkouts": len(counted),
        "completedWorkouts": len(done),
        "pendingWorkouts": len(counted) - len(done) - len(missed),
        "missedWorkouts": len(missed),
        "totalPlannedDistanceKm": sum(workout["plannedDistanceKm"] for workout in counted),
        "totalActualDistanceKm": metres / 1000,
        "adherencePercentage": float(round(Fraction(100 * len(done), len(counted) or 1), 1)),
        "onTarget": not missed and Fraction(metres, 1000) >= Fraction(9, 10) * planned,
    }


async def assert_plans_agree(runner: Runner, runs: list[Document], active: list[Document], today: date) -> None:
    plans = await runner.all(PLANS)
    assert sorted(plan["id"] for plan in active) == sorted(plan["id"] for plan in plans)
    progress = {plan["id"]: plan["progress"] for plan in active}
    for plan in plans:
        workouts = await runner.all(f"{PLANS}/{plan['id']}/workouts")
        assert progress[plan["id"]] == progress_of(plan, workouts, runs, today)
        await assert_weeks_part(runner, plan, workouts, runs)


async def assert_weeks_part(runner: Runner, plan: Document, workouts: list[Document], runs: list[Document]) -> None:
    """Each run of a plan on its days is in one of its weeks, and each workout with a date."""
    start, end = plan["startDate"], plan["endDate"]
    length = (date.fromisoformat(end) - date.fromisoformat(start)).days // 7 + 1
    weeks = [await get(runner.actor, f"{PLANS}/{plan['id']}/weekly-summary", weekNumber=n + 1) for n in range(length)]
    inside = [run for run in runs if run["planId"] == plan["id"] and start <= run["localDate"] <= end]
    shown = [run for week in weeks for run in week["runs"]]
    assert sorted(shown, key=lambda run: run["id"]) == sorted(inside, key=lambda run: run["id"])
    planned = [w for w in workouts if w["workoutType"] in RUNNING_TYPES and w["scheduledDate"]]
    assert sum(week["plannedRuns"] for week in weeks) == len(planned)
    assert sum(week["plannedDistanceKm"] for week in weeks) == sum(w["plannedDistanceKm"] for w in planned)
    for week in weeks:
        assert all(week["startDate"] <= run["localDate"] <= week["endDate"] for run in week["runs"])
        assert week["completedRuns"] == len(week["runs"])
        assert week["totalDistanceKm"] == pytest.approx(sum(run["distanceKm"] for run in week["runs"]))


def assert_predicts(found: list[Document], runs: list[Document], today: date) -> None:
    first = (today - timedelta(days=89)).isoformat()
    recent = [run for run in runs if run["localDate"] >= first and run["distanceKm"] >= 3]
    assert [item["distanceKm"] for item in found] == ([5, 10, 21.0975, 42.195] if recent else [])
    for item in found:
        best = min(effort(run, 1.06) for run in recent)
        assert effort(item["fromRun"], 1.06) == pytest.approx(best, rel=1e-12)
        assert item["fromRun"] in recent
        assert item["seconds"] == pytest.approx(best * item["distanceKm"] ** 1.06, abs=0.5001)


@given(steps=STEPS, since=DATES, until=DATES)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_figures_follow_from_the_lists(
    athlete: Actor,
    connection: Connection,
    steps: list[tuple[str, Any, int]],
    since: str | None,
    until: str | None,
) -> None:
    runner, today = Runner(athlete), datetime.now(UTC).date()
    try:
        for _ in range(2):
            await make_plan(athlete, status="active", startDate=day(-20), endDate=day(10))
        for name, value, place in steps:
            await getattr(runner, name)(value, place)
        runs = await runner.all(RUNS)
        everything = await get(athlete, SUMMARY)
        await assert_plans_agree(runner, runs, everything.pop("activePlans"), today)
        assert_predicts(everything.pop("predictions"), runs, today)
        assert everything == summary_of(runs, runs, today)
        some = await get(athlete, SUMMARY, **{key: value for key, value in (("from", since), ("to", until)) if value})
        del some["activePlans"], some["predictions"]
        asked = [run for run in runs if (since or "") <= run["localDate"] <= (until or "9999")]
        assert some == summary_of(asked, runs, today)
    finally:
        await connection.execute("DELETE FROM runs")
        await connection.execute("DELETE FROM running_plans")
