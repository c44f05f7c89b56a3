from typing import Any

import pytest

from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.running.steps import (
    PLANS,
    RUNS,
    UNKNOWN_ID,
    WORKOUTS,
    Connection,
    body_of,
    contents,
    get,
    make_plan,
    make_workout,
    record,
    workout_body,
)

WRONG: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"plannedDistanceKm": None}, {"plannedDistanceKm": "missing"}),
    ({"workoutType": "rest"}, {"plannedDistanceKm": "rule"}),
    ({"workoutType": "sprint"}, {"workoutType": "enum"}),
    ({"workoutType": None}, {"workoutType": "null"}),
    ({"name": None}, {"name": "null"}),
    ({"plannedDistanceKm": 0}, {"plannedDistanceKm": "range"}),
    ({"targetPaceMinSec": 300}, {"targetPaceMaxSec": "missing"}),
    ({"targetPaceMaxSec": 300}, {"targetPaceMinSec": "missing"}),
    ({"targetPaceMinSec": 301, "targetPaceMaxSec": 300}, {"targetPaceMaxSec": "rule"}),
    ({"targetPaceMinSec": 99, "targetPaceMaxSec": 2001}, {"targetPaceMinSec": "range", "targetPaceMaxSec": "range"}),
    ({"scheduledDate": "2026-05-31"}, {"scheduledDate": "rule"}),
    ({"scheduledDate": "2026-08-31"}, {"scheduledDate": "rule"}),
    ({"planId": UNKNOWN_ID}, {"planId": "rule"}),
    (
        {"plannedDistanceKm": None, "targetPaceMinSec": 300, "scheduledDate": "2026-08-31"},
        {"plannedDistanceKm": "missing", "targetPaceMaxSec": "missing", "scheduledDate": "rule"},
    ),
    ({"scheduledDate": "2101-01-01"}, {"scheduledDate": "range"}),
]


@pytest.fixture(params=["flat", "nested"])
def nested(request: pytest.FixtureRequest) -> bool:
    """Whether the routes are those below the plan."""
    return bool(request.param == "nested")


def place_of(plan: dict[str, Any], nested: bool) -> str:
    return f"{PLANS}/{plan['id']}/workouts" if nested else WORKOUTS


class TestWorkouts:
    async def test_are_made_read_replaced_changed_and_deleted(self, athlete: Actor, nested: bool) -> None:
        plan = await make_plan(athlete)
        place = place_of(plan, nested)
        body = workout_body(planId=plan["id"], targetPaceMinSec=300, targetPaceMaxSec=330, scheduledDate="2026-06-01")
        answer = await athlete.client.post(place, json=body)
        workout = body_of(answer, 201)
        assert workout.items() >= body.items()
        place = f"{place}/{workout['id']}"
        assert answer.headers["location"] == place
        assert await get(athlete, place) == workout
        changed = body_of(
            await athlete.client.patch(place, json={"workoutType": "rest", "plannedDistanceKm": None}), 200
        )
        assert (changed["workoutType"], changed["plannedDistanceKm"]) == ("rest", None)
        body_of(await athlete.client.put(place, json=workout), 200)
        assert (await get(athlete, place))["plannedDistanceKm"] == 10
        assert (await athlete.client.delete(place)).status_code == 204
        problem(await athlete.client.get(place), 404)

    async def test_that_break_rules_are_refused_alike(
        self, athlete: Actor, connection: Connection, nested: bool
    ) -> None:
        plan = await make_plan(athlete)
        workout = await make_workout(athlete, plan)
        before = await contents(connection)
        place = place_of(plan, nested)
        for wrong, fields in WRONG:
            body = workout_body(**{"planId": plan["id"], **wrong})
            if nested or "planId" not in wrong:
                assert broken_fields(await athlete.client.post(place, json=body)) == fields
            assert broken_fields(await athlete.client.put(f"{place}/{workout['id']}", json=body)) == fields
            assert broken_fields(await athlete.client.patch(f"{place}/{workout['id']}", json=wrong)) == fields
        assert await contents(connection) == before

    async def test_a_change_is_checked_with_what_is_stored(
        self, athlete: Actor, connection: Connection, nested: bool
    ) -> None:
        plan = await make_plan(athlete)
        tempo = await make_workout(athlete, plan, targetPaceMinSec=290, targetPaceMaxSec=300)
        rest = await make_workout(athlete, plan, workoutType="rest", plannedDistanceKm=None)
        before = await contents(connection)
        place = place_of(plan, nested)
        for workout, change, fields in (
            (rest, {"workoutType": "easy"}, {"plannedDistanceKm": "missing"}),
            (rest, {"plannedDistanceKm": 5}, {"plannedDistanceKm": "rule"}),
            (tempo, {"targetPaceMaxSec": None}, {"targetPaceMaxSec": "missing"}),
            (tempo, {"targetPaceMinSec": 301}, {"targetPaceMaxSec": "rule"}),
        ):
            assert broken_fields(await athlete.client.patch(f"{place}/{workout['id']}", json=change)) == fields
        assert await contents(connection) == before
        neither = {"targetPaceMinSec": None, "targetPaceMaxSec": None}
        changed = body_of(await athlete.client.patch(f"{place}/{tempo['id']}", json=neither), 200)
        assert changed == tempo | neither | {"updatedAt": changed["updatedAt"]}

    async def test_of_others_are_not_there(self, athlete: Actor, other_athlete: Actor, connection: Connection) -> None:
        theirs, mine = await make_plan(other_athlete), await make_plan(athlete)
        workout = await make_workout(other_athlete, theirs)
        own = await make_workout(athlete, mine)
        before = await contents(connection)
        places = [f"{WORKOUTS}/{workout['id']}", f"{PLANS}/{theirs['id']}/workouts/{workout['id']}"]
        places += [f"{PLANS}/{mine['id']}/workouts/{workout['id']}", f"{PLANS}/{theirs['id']}/workouts/{own['id']}"]
        for place in places:
            problem(await athlete.client.get(place), 404)
            problem(await athlete.client.put(place, json=workout_body()), 404)
            problem(await athlete.client.patch(place, json={}), 404)
            problem(await athlete.client.delete(place), 404)
        problem(await athlete.client.post(WORKOUTS, json=workout_body(planId=theirs["id"])), 404)
        problem(await athlete.client.post(f"{PLANS}/{theirs['id']}/workouts", json=workout_body()), 404)
        assert (await get(athlete, WORKOUTS))["total"] == 1
        assert await contents(connection) == before

    async def test_a_workout_of_another_plan_is_not_below_this_one(self, athlete: Actor) -> None:
        plan, other = await make_plan(athlete), await make_plan(athlete)
        workout = await make_workout(athlete, plan)
        problem(await athlete.client.get(f"{PLANS}/{other['id']}/workouts/{workout['id']}"), 404)

    async def test_leave_their_runs_in_the_plan_when_they_are_deleted(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, status="active")
        workout = await make_workout(athlete, plan, scheduledDate="2026-06-10")
        run = await record(athlete)
        assert run["workoutId"] == workout["id"]
        assert (await athlete.client.delete(f"{WORKOUTS}/{workout['id']}")).status_code == 204
        kept = await get(athlete, f"{RUNS}/{run['id']}")
        assert (kept["planId"], kept["workoutId"]) == (plan["id"], None)

    async def test_are_listed_by_date(self, athlete: Actor) -> None:
        plan, other = await make_plan(athlete), await make_plan(athlete)
        for name, of, changes in (
            ("c", plan, {"scheduledDate": "2026-06-03"}),
            ("none", plan, {}),
            ("a", plan, {"scheduledDate": "2026-06-01", "workoutType": "long"}),
            ("b", other, {"scheduledDate": "2026-06-02"}),
        ):
            await make_workout(athlete, of, name=name, **changes)

        async def names(place: str = WORKOUTS, **query: Any) -> list[str]:
            return [item["name"] for item in (await get(athlete, place, **query))["items"]]

        assert await names() == ["a", "b", "c", "none"]
        assert await names(planId=other["id"]) == ["b"]
        assert await names(planId=[plan["id"], other["id"]], workoutType="long") == ["a"]
        assert await names(**{"from": "2026-06-02", "to": "2026-06-03"}) == ["b", "c"]
        nested = f"{PLANS}/{plan['id']}/workouts"
        assert await names(nested) == ["a", "c", "none"]
        assert await names(nested, planId=other["id"]) == []
        assert await names(f"{PLANS}/{other['id']}/workouts", **{"from": "2026-07-01"}) == []

    async def test_heed_if_match(self, athlete: Actor, nested: bool) -> None:
        plan = await make_plan(athlete)
        workout = await make_workout(athlete, plan)
        place = f"{place_of(plan, nested)}/{workout['id']}"
        tag = (await athlete.client.get(place)).headers["etag"]
        body_of(await athlete.client.patch(place, json={"name": "New"}, headers={"If-Match": tag}), 200)
        problem(await athlete.client.patch(place, json={"name": "Late"}, headers={"If-Match": tag}), 412)
        assert (await get(athlete, place))["name"] == "New"

    async def test_a_new_target_is_a_new_state_of_its_runs(self, athlete: Actor) -> None:
        plan = await make_plan(athlete)
        workout = await make_workout(athlete, plan)
        run = await record(athlete, workoutId=workout["id"])
        assert run["matchesTarget"] is None
        place = f"{RUNS}/{run['id']}"
        tag = (await athlete.client.get(place)).headers["etag"]
        target = {"targetPaceMinSec": 290, "targetPaceMaxSec": 300}
        body_of(await athlete.client.patch(f"{WORKOUTS}/{workout['id']}", json=target), 200)
        answer = await athlete.client.get(place, headers={"If-None-Match": tag})
        assert body_of(answer, 200)["matchesTarget"] is True
