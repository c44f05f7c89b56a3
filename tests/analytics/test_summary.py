"""What runs add up to, over HTTP."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.running.steps import PLANS, RUNS, SUMMARY, at, day, get, make_plan, make_workout, record

EMPTY: dict[str, Any] = {
    "totalRuns": 0,
    "totalDistanceKm": 0,
    "totalDurationSeconds": 0,
    "meanPaceSecPerKm": None,
    "longestRun": None,
    "fastest": [],
    "currentStreakWeeks": 0,
    "longestStreakWeeks": 0,
    "weeks": [],
    "activePlans": [],
    "predictions": [],
}
NO_PROGRESS = {
    "totalWorkouts": 0,
    "completedWorkouts": 0,
    "pendingWorkouts": 0,
    "missedWorkouts": 0,
    "totalPlannedDistanceKm": 0,
    "totalActualDistanceKm": 0,
    "adherencePercentage": 0,
    "onTarget": True,
}


async def run_on(actor: Actor, when: str, km: float, seconds: int, **body: Any) -> dict[str, Any]:
    start = when if "T" in when else f"{when}T08:00:00Z"
    run = await record(actor, startedAt=start, distanceKm=km, durationSeconds=seconds, **body)
    run.pop("autoMatched")
    return run


class TestSummary:
    async def test_without_runs_is_empty(self, athlete: Actor, other_athlete: Actor) -> None:
        await record(other_athlete)
        assert await get(athlete, SUMMARY) == EMPTY

    async def test_adds_up(self, athlete: Actor) -> None:
        short = await run_on(athlete, "2025-12-28", 1, 240)
        five = await run_on(athlete, "2025-12-29", 5, 1250)
        ten = await run_on(athlete, "2026-01-04", 10, 2600)
        marathon = await run_on(athlete, "2026-01-05", 42.195, 13_000)
        found = await get(athlete, SUMMARY)
        assert found["totalRuns"] == 4
        assert found["totalDistanceKm"] == 58.195
        assert found["totalDurationSeconds"] == 17_090
        assert found["meanPaceSecPerKm"] == pytest.approx(17_090 / 58.195)
        assert found["longestRun"] == marathon
        assert {item["distanceKm"]: item["run"] for item in found["fastest"]} == {
            1: short,
            5: five,
            10: ten,
            21.0975: marathon,
            42.195: marathon,
        }
        assert found["weeks"] == [
            {"isoYear": 2025, "isoWeek": 52, "distanceKm": 1, "runs": 1},
            {"isoYear": 2026, "isoWeek": 1, "distanceKm": 15, "runs": 2},
            {"isoYear": 2026, "isoWeek": 2, "distanceKm": 42.195, "runs": 1},
        ]
        assert (found["currentStreakWeeks"], found["longestStreakWeeks"]) == (0, 3)

    @pytest.mark.parametrize(
        ("query", "km"),
        [
            ({"from": "2026-01-02"}, [3, 4, 5, 6]),
            ({"to": "2026-01-11"}, [1, 2, 3, 4]),
            ({"from": "2026-01-02", "to": "2026-01-11"}, [3, 4]),
            ({"from": "2025-12-30", "to": "2025-12-30"}, [1]),
            ({"from": "2025-12-29", "to": "2027-01-03"}, [1, 2, 3, 4, 5, 6]),
            ({"from": "2026-02-01", "to": "2026-01-01"}, []),
            ({"from": "2026-01-06", "to": "2026-01-10"}, []),
            ({"from": "0001-01-01", "to": "9999-12-31"}, [1, 2, 3, 4, 5, 6]),
        ],
    )
    async def test_of_some_days_has_their_runs(self, athlete: Actor, query: dict[str, str], km: list[int]) -> None:
        days = ["2025-12-30", "2026-01-01", "2026-01-05", "2026-01-11", "2026-01-12", "2026-11-20"]
        for distance, when in enumerate(days, 1):
            await run_on(athlete, when, distance, 300 * distance)
        found = await get(athlete, SUMMARY, **query)
        assert (found["totalRuns"], found["totalDistanceKm"]) == (len(km), sum(km))
        assert sum(week["runs"] for week in found["weeks"]) == len(km)
        assert sum(week["distanceKm"] for week in found["weeks"]) == sum(km)
        weeks = [(week["isoYear"], week["isoWeek"]) for week in found["weeks"]]
        assert weeks == sorted({date.fromisoformat(days[distance - 1]).isocalendar()[:2] for distance in km})
        assert (found["longestRun"] or {"distanceKm": None})["distanceKm"] == max(km, default=None)

    async def test_predicts_from_the_best_of_90_days(self, athlete: Actor) -> None:
        for offset, km, seconds in ((-90, 5, 900), (0, 2.9, 600), (-1, 5, 1500), (-1, 10, 3100)):
            await run_on(athlete, at(offset), km, seconds)
        best = await run_on(athlete, at(-89), 5, 1200)
        found = (await get(athlete, SUMMARY))["predictions"]
        assert [(item["distanceKm"], item["seconds"]) for item in found] == [
            (5, 1200),
            (10, 2502),
            (21.0975, 5520),
            (42.195, 11_509),
        ]
        assert all(item["fromRun"] == best for item in found)

    async def test_counts_weeks_in_a_row_up_to_now(self, athlete: Actor) -> None:
        for offset in (0, -7, -14, -28, -35):
            await run_on(athlete, at(offset), 5, 1500)
        found = await get(athlete, SUMMARY)
        assert (found["currentStreakWeeks"], found["longestStreakWeeks"]) == (3, 3)

    async def test_shows_active_plans_with_their_progress(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, status="active", startDate=day(-7), endDate=day(7))
        other = await make_plan(athlete, status="active", startDate=day(-6), endDate=day(8))
        await make_plan(athlete)
        await make_workout(athlete, plan, scheduledDate=day(-1))
        [first, second] = (await get(athlete, SUMMARY))["activePlans"]
        progress = first.pop("progress")
        assert first == plan | {"updatedAt": first["updatedAt"]}
        assert progress == await get(athlete, f"{PLANS}/{plan['id']}/progress")
        assert (second["id"], second["progress"]) == (other["id"], NO_PROGRESS)

    async def test_refuses_unknown_zones(self, athlete: Actor) -> None:
        answer = await athlete.client.get(SUMMARY, params={"timezone": "Mars/Olympus"})
        assert broken_fields(answer) == {"timezone": "enum"}


class TestProgress:
    async def test_of_a_plan_of_rests_is_nothing(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, startDate=day(-7), endDate=day(7))
        await make_workout(athlete, plan, workoutType="rest", plannedDistanceKm=None, scheduledDate=day(-1))
        await make_workout(athlete, plan, workoutType="cross_training", scheduledDate=day(-1))
        assert await get(athlete, f"{PLANS}/{plan['id']}/progress") == NO_PROGRESS
        assert await get(athlete, f"/api/v1/analytics/plan/{plan['id']}") == NO_PROGRESS

    async def test_counts_what_was_done_missed_and_is_to_come(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, startDate=day(-7), endDate=day(7), status="active")
        place = f"{PLANS}/{plan['id']}/progress"
        done = await make_workout(athlete, plan, scheduledDate=day(-2))
        missed = await make_workout(athlete, plan, scheduledDate=day(-1), plannedDistanceKm=4)
        for when in (day(0), day(1), None):
            await make_workout(athlete, plan, scheduledDate=when, plannedDistanceKm=2)
        await run_on(athlete, at(-2), 8, 2400)
        await run_on(athlete, at(-5), 1.5, 600, planId=plan["id"])
        await run_on(athlete, at(-6), 30, 9000)
        assert await get(athlete, place) == {
            "totalWorkouts": 5,
            "completedWorkouts": 1,
            "pendingWorkouts": 3,
            "missedWorkouts": 1,
            "totalPlannedDistanceKm": 20,
            "totalActualDistanceKm": 9.5,
            "adherencePercentage": 20,
            "onTarget": False,
        }
        assert (await athlete.client.delete(f"/api/v1/workouts/{missed['id']}")).status_code == 204
        # 12 km to date, of which 9.5 were run.
        assert (await get(athlete, place))["onTarget"] is False
        await run_on(athlete, at(-5), 1.3, 600, planId=plan["id"])
        found = await get(athlete, place)
        assert (found["onTarget"], found["totalActualDistanceKm"], found["missedWorkouts"]) == (True, 10.8, 0)
        assert (await athlete.client.delete(f"/api/v1/workouts/{done['id']}")).status_code == 204
        found = await get(athlete, place)
        assert (found["totalWorkouts"], found["completedWorkouts"], found["totalActualDistanceKm"]) == (3, 0, 10.8)

    async def test_follows_the_runs_of_the_plan(self, athlete: Actor) -> None:
        plan, other = [await make_plan(athlete, startDate=day(-7), endDate=day(7)) for _ in range(2)]
        run = await run_on(athlete, at(-1), 10, 3000, planId=plan["id"])
        await run_on(athlete, at(-1), 3, 900, planId=plan["id"])

        async def run_so_far() -> list[float]:
            found = [await get(athlete, f"{PLANS}/{of['id']}/progress") for of in (plan, other)]
            return [progress["totalActualDistanceKm"] for progress in found]

        assert await run_so_far() == [13, 0]
        for method, body, expected in (
            ("PATCH", {"distanceKm": 8.5}, [11.5, 0]),
            ("PATCH", {"planId": other["id"]}, [3, 8.5]),
            ("PATCH", {"planId": None}, [3, 0]),
            ("PATCH", {"planId": plan["id"]}, [11.5, 0]),
            ("DELETE", None, [3, 0]),
        ):
            assert (await athlete.client.request(method, f"{RUNS}/{run['id']}", json=body)).is_success
            assert await run_so_far() == expected

    async def test_of_overlapping_plans_are_apart(self, athlete: Actor) -> None:
        plans = [
            await make_plan(athlete, startDate=day(-7), endDate=day(7), status="active", name=name) for name in "ab"
        ]
        for plan in plans:
            await make_workout(athlete, plan, scheduledDate=day(-1))
        await run_on(athlete, at(-1), 10, 3000)
        first, second = [await get(athlete, f"{PLANS}/{plan['id']}/progress") for plan in plans]
        assert (first["completedWorkouts"], first["missedWorkouts"], first["totalActualDistanceKm"]) == (1, 0, 10)
        assert (second["completedWorkouts"], second["missedWorkouts"], second["totalActualDistanceKm"]) == (0, 1, 0)

    async def test_today_is_that_of_the_zone(self, athlete: Actor) -> None:
        # These two never have the same date.
        east, west = (datetime.now(ZoneInfo(zone)).date() for zone in ("Pacific/Kiritimati", "Pacific/Niue"))
        plan = await make_plan(athlete, startDate=day(-7), endDate=day(7))
        await make_workout(athlete, plan, scheduledDate=west.isoformat())
        place = f"{PLANS}/{plan['id']}/progress"
        assert west < east
        assert (await get(athlete, place, timezone="Pacific/Kiritimati"))["missedWorkouts"] == 1
        assert (await get(athlete, place, timezone="pacific/niue"))["missedWorkouts"] == 0
        await athlete.client.patch("/api/v1/access/me", json={"timezone": "Pacific/Kiritimati"})
        assert (await get(athlete, place))["missedWorkouts"] == 1


class TestWeek:
    async def test_is_the_current_one_or_the_first(self, athlete: Actor) -> None:
        now = await make_plan(athlete, startDate=day(-8), endDate=day(7))
        over = await make_plan(athlete, startDate=day(-30), endDate=day(-10))
        for plan, number in ((now, 2), (over, 1)):
            week = await get(athlete, f"{PLANS}/{plan['id']}/weekly-summary")
            start = date.fromisoformat(plan["startDate"]) + timedelta(days=7 * (number - 1))
            assert (week["weekNumber"], week["startDate"]) == (number, start.isoformat())
            assert week["runs"] == []

    async def test_is_cut_at_the_end_of_the_plan(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, startDate="2026-06-01", endDate="2026-06-10")
        place = f"{PLANS}/{plan['id']}/weekly-summary"
        week = await get(athlete, place, weekNumber=2)
        assert (week["startDate"], week["endDate"]) == ("2026-06-08", "2026-06-10")
        for number in (0, -1, 3, 10**15):
            problem(await athlete.client.get(place, params={"weekNumber": number}), 400)
        assert broken_fields(await athlete.client.get(place, params={"weekNumber": "x"})) == {"weekNumber": "type"}

    async def test_is_that_of_the_calendar_in_every_zone(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, startDate="2026-06-01", endDate="2026-06-28")
        # A Sunday evening, and a Monday just begun, each where it was run; by the server's clock it is the other way.
        late = await run_on(
            athlete, "2026-06-08T06:30:00Z", 10, 3000, userTimezone="America/Los_Angeles", planId=plan["id"]
        )
        early = await run_on(
            athlete, "2026-06-07T10:30:00Z", 5, 1500, userTimezone="Pacific/Kiritimati", planId=plan["id"]
        )
        await run_on(athlete, "2026-06-07T12:00:00Z", 3, 900)
        await make_workout(athlete, plan, scheduledDate="2026-06-07")
        await make_workout(athlete, plan, scheduledDate="2026-06-07", workoutType="cross_training")
        for zone in ("UTC", "America/Los_Angeles", "Pacific/Kiritimati"):
            await athlete.client.patch("/api/v1/access/me", json={"timezone": zone})
            place = f"{PLANS}/{plan['id']}/weekly-summary"
            first, second = [await get(athlete, place, weekNumber=number) for number in (1, 2)]
            assert (first["runs"], second["runs"]) == ([late], [early])
            assert (first["totalDistanceKm"], first["completedRuns"]) == (10, 1)
            assert (first["plannedDistanceKm"], first["plannedRuns"]) == (10, 1)
            assert (second["totalDistanceKm"], second["plannedRuns"]) == (5, 0)
            weeks = (await get(athlete, SUMMARY))["weeks"]
            assert [(week["isoWeek"], week["distanceKm"], week["runs"]) for week in weeks] == [(23, 13, 2), (24, 5, 1)]

    async def test_follows_what_is_changed(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, startDate="2026-06-01", endDate="2026-06-28")
        run = await run_on(athlete, "2026-06-03", 10, 3000, planId=plan["id"])
        place = f"{PLANS}/{plan['id']}/weekly-summary"
        moved = {"startedAt": "2026-06-10T08:00:00Z"}
        assert (await athlete.client.patch(f"{RUNS}/{run['id']}", json=moved)).status_code == 200
        assert (await get(athlete, place, weekNumber=1))["completedRuns"] == 0
        assert (await get(athlete, place, weekNumber=2))["completedRuns"] == 1
        assert datetime.fromisoformat(run["createdAt"]).tzinfo == UTC
