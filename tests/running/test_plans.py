from typing import Any

from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.running.steps import (
    PLANS,
    UNKNOWN_ID,
    Connection,
    body_of,
    contents,
    get,
    make_plan,
    make_workout,
    plan_body,
    record,
)

WRONG: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"endDate": "2026-06-01"}, {"endDate": "rule"}),
    ({"endDate": "2027-06-03"}, {"endDate": "rule"}),
    ({"startDate": "1969-12-31"}, {"startDate": "range", "endDate": "rule"}),
    ({"endDate": "2101-01-01", "startDate": "2100-12-01"}, {"endDate": "range"}),
    ({"goalRaceDate": "2101-01-01"}, {"goalRaceDate": "range"}),
    ({"name": " "}, {"name": "length"}),
    ({"name": None}, {"name": "null"}),
    ({"startDate": None}, {"startDate": "null"}),
    ({"endDate": None}, {"endDate": "null"}),
    ({"status": None}, {"status": "null"}),
    ({"status": "over"}, {"status": "enum"}),
    ({"startDate": "2026-02-30"}, {"startDate": "pattern"}),
    ({"weeks": 3}, {"weeks": "unknown"}),
]


class TestPlans:
    async def test_are_made_read_replaced_changed_and_deleted(self, athlete: Actor) -> None:
        body = plan_body(name="  Race  day ", goalRaceDate="2026-09-06", description="x")
        answer = await athlete.client.post(PLANS, json=body)
        plan = body_of(answer, 201)
        assert answer.headers["location"] == f"{PLANS}/{plan['id']}"
        assert plan.items() >= {**body, "name": "Race day", "status": "draft"}.items()
        place = f"{PLANS}/{plan['id']}"
        assert await get(athlete, place) == plan
        changed = body_of(await athlete.client.patch(place, json={"status": "active", "description": None}), 200)
        assert (changed["status"], changed["description"], changed["goalRaceDate"]) == ("active", None, "2026-09-06")
        replaced = body_of(await athlete.client.put(place, json=plan_body(name="New")), 200)
        assert (replaced["name"], replaced["status"], replaced["goalRaceDate"]) == ("New", "draft", None)
        assert body_of(await athlete.client.put(place, json=replaced), 200).keys() == plan.keys()
        assert (await athlete.client.delete(place)).status_code == 204
        problem(await athlete.client.get(place), 404)

    async def test_that_break_rules_are_refused_alike(self, athlete: Actor, connection: Connection) -> None:
        plan = await make_plan(athlete)
        before = await contents(connection)
        for wrong, fields in WRONG:
            body = plan_body(**wrong)
            assert broken_fields(await athlete.client.post(PLANS, json=body)) == fields
            assert broken_fields(await athlete.client.put(f"{PLANS}/{plan['id']}", json=body)) == fields
            assert broken_fields(await athlete.client.patch(f"{PLANS}/{plan['id']}", json=wrong)) == fields
        assert await contents(connection) == before

    async def test_keep_their_workouts_inside(self, athlete: Actor, connection: Connection) -> None:
        plan = await make_plan(athlete)
        for name, day in (("First", "2026-06-02"), ("Last", "2026-08-29")):
            await make_workout(athlete, plan, name=name, scheduledDate=day)
        before = await contents(connection)
        place = f"{PLANS}/{plan['id']}"
        for body, field, name in (
            ({"startDate": "2026-06-03"}, "startDate", "First"),
            ({"endDate": "2026-08-28"}, "endDate", "Last"),
        ):
            for answer in (
                await athlete.client.patch(place, json=body),
                await athlete.client.put(place, json=plan_body(**body)),
            ):
                assert broken_fields(answer) == {field: "rule"}
                assert name in answer.json()["details"][0]["message"]
        assert await contents(connection) == before
        body_of(await athlete.client.patch(place, json={"startDate": "2026-06-02", "endDate": "2026-08-29"}), 200)

    async def test_of_others_are_not_there(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor, connection: Connection
    ) -> None:
        plan = await make_plan(other_athlete)
        before = await contents(connection)
        for actor in (athlete, superuser):
            for key in (plan["id"], UNKNOWN_ID):
                place = f"{PLANS}/{key}"
                for rest in ("", "/workouts", "/runs", "/progress", "/weekly-summary", "/calendar.ics", "/link"):
                    problem(await actor.client.get(place + rest), 404)
                problem(await actor.client.get(f"/api/v1/analytics/plan/{key}"), 404)
                problem(await actor.client.put(place, json=plan_body()), 404)
                problem(await actor.client.patch(place, json={}), 404)
                problem(await actor.client.delete(place), 404)
                problem(await actor.client.post(f"{place}/link"), 404)
            assert (await get(actor, PLANS))["total"] == 0
        assert await contents(connection) == before

    async def test_leave_the_runs_when_they_are_deleted(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, status="active")
        await make_workout(athlete, plan, scheduledDate="2026-06-10")
        run = await record(athlete)
        assert run["planId"] == plan["id"]
        assert (await athlete.client.delete(f"{PLANS}/{plan['id']}")).status_code == 204
        kept = await get(athlete, f"/api/v1/runs/{run['id']}")
        assert (kept["planId"], kept["workoutId"], kept["distanceKm"]) == (None, None, 10)

    async def test_heed_if_match(self, athlete: Actor) -> None:
        plan = await make_plan(athlete)
        place = f"{PLANS}/{plan['id']}"
        tag = (await athlete.client.get(place)).headers["etag"]
        assert (await athlete.client.get(place, headers={"If-None-Match": tag})).status_code == 304
        await make_workout(athlete, plan)
        for method, body in (("PATCH", {"name": "x"}), ("PUT", plan_body()), ("DELETE", None)):
            problem(await athlete.client.request(method, place, json=body, headers={"If-Match": tag}), 412)
        assert (await get(athlete, place))["name"] == plan["name"]
        tag = (await athlete.client.get(place)).headers["etag"]
        assert (await athlete.client.delete(place, headers={"If-Match": tag})).status_code == 204

    async def test_are_made_once_with_a_key(self, athlete: Actor, connection: Connection) -> None:
        body, headers = plan_body(), {"Idempotency-Key": "a"}
        first = await athlete.client.post(PLANS, json=body, headers=headers)
        again = await athlete.client.post(PLANS, json=body, headers=headers)
        assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
        assert await connection.fetchval("SELECT count(*) FROM running_plans") == 1


class TestList:
    async def test_filters_and_sorts(self, athlete: Actor) -> None:
        june = await make_plan(athlete, name="étape", endDate="2026-06-30")
        july = await make_plan(athlete, name="Zulu", startDate="2026-07-01", endDate="2026-07-31", status="active")
        august = await make_plan(athlete, name="Base", startDate="2026-08-01", endDate="2026-08-31", status="completed")

        async def names(**query: Any) -> list[str]:
            return [item["name"] for item in (await get(athlete, PLANS, **query))["items"]]

        assert await names() == [august["name"], july["name"], june["name"]]
        assert await names(orderBy="name") == ["Base", "étape", "Zulu"]
        assert await names(orderBy="createdAt", sortOrder="asc") == ["étape", "Zulu", "Base"]
        assert await names(searchString="ETA") == ["étape"]
        assert await names(status=["active", "completed"]) == ["Base", "Zulu"]
        assert await names(**{"from": "2026-06-30", "to": "2026-07-01"}) == ["Zulu", "étape"]
        assert await names(**{"from": "2026-09-01"}) == []
        assert await names(pageSize=1, currentPage=2) == ["Zulu"]
        assert broken_fields(await athlete.client.get(PLANS, params={"orderBy": "endDate"})) == {"orderBy": "enum"}
