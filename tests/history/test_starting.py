"""Sessions from days of plans and from units, and the way through a plan."""

import asyncio
from typing import Any

import httpx
import pytest

from app.db.base import uuid7
from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.history.workouts import SESSIONS, Connection, create_exercise, read, start
from tests.training.templates import PLANS, UNITS, exercise, grant, make_plan, make_unit, share

TARGETS = {
    "orderIndex": 2,
    "targetWeight": 82.5,
    "sets": 4,
    "repsMin": 5,
    "repsMax": 8,
    "targetTimeSeconds": None,
    "targetDistanceKm": None,
    "restSeconds": 120,
}


async def complete(actor: Actor, session: dict[str, Any]) -> None:
    assert (await actor.client.post(f"{SESSIONS}/{session['id']}/complete")).status_code == 200


async def do_day(actor: Actor, plan: dict[str, Any], place: int) -> dict[str, Any]:
    """Start and complete a day of a plan."""
    session = await start(actor, planUnitId=plan["units"][place]["id"])
    await complete(actor, session)
    return session


async def get(actor: Actor, path: str) -> dict[str, Any]:
    answer = await actor.client.get(path)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def next_place(actor: Actor, plan: dict[str, Any]) -> tuple[int, int]:
    """The round, and the place of the next day among those of the plan."""
    found = await get(actor, f"{PLANS}/{plan['id']}/next")
    return found["round"], [day["id"] for day in plan["units"]].index(found["next"]["planUnitId"])


class TestFromAUnit:
    async def test_names_and_targets_are_copied(self, athlete: Actor, connection: Connection) -> None:
        exercise_id, name = await create_exercise(connection)
        first = exercise("Warm-up rows", supersetGroup=2)
        second = {
            "exerciseId": str(exercise_id),
            "mode": "reps",
            "sets": 4,
            **{key: TARGETS[key] for key in ("targetWeight", "repsMin", "repsMax", "restSeconds")},
        }
        third = exercise("Plank", mode="time", repsMin=None, targetTimeSeconds=60)
        unit = await make_unit(athlete, first, second, third)
        session = await start(athlete, trainingUnitId=unit["id"], notes="Fresh")
        assert session == await read(athlete, session)
        assert (session["trainingUnitId"], session["unitName"], session["notes"]) == (unit["id"], unit["name"], "Fresh")
        assert (session["trainingPlanId"], session["planUnitId"], session["dayNumber"]) == (None, None, None)
        rows, bench, plank = session["exercises"]
        assert bench == {
            "id": bench["id"],
            "exerciseId": str(exercise_id),
            "exerciseName": name,
            "plannedUnitExerciseId": unit["exercises"][1]["id"],
            "mode": "reps",
            "orderIndex": 2,
            "supersetGroup": None,
            "planned": TARGETS,
            "sets": [],
        }
        assert (rows["exerciseId"], rows["exerciseName"], rows["supersetGroup"]) == (None, "Warm-up rows", 2)
        assert (plank["mode"], plank["planned"]["targetTimeSeconds"]) == ("time", 60)

    async def test_an_empty_unit_starts_an_empty_session(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        assert (await start(athlete, trainingUnitId=unit["id"]))["exercises"] == []

    async def test_several_a_day_are_several(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, exercise())
        sessions = [await start(athlete, trainingUnitId=unit["id"]) for _ in range(3)]
        assert len({session["id"] for session in sessions}) == 3
        listed = (await athlete.client.get(SESSIONS, params={"trainingUnitId": unit["id"]})).json()["items"]
        assert len(listed) == 3

    @pytest.mark.parametrize("shared", ["granted", "public", "in a plan", "superuser"])
    async def test_of_another_keeps_names_and_drops_ids_of_their_own_exercises(
        self,
        athlete: Actor,
        other_athlete: Actor,
        superuser: Actor,
        connection: Connection,
        shared: str,
    ) -> None:
        custom, name = await create_exercise(connection, other_athlete)
        system, _ = await create_exercise(connection)
        planned = [{"exerciseId": str(key), "mode": "reps", "repsMin": 5} for key in (custom, system)]
        unit = await make_unit(other_athlete, *planned)
        match shared:
            case "granted":
                await share(other_athlete, UNITS, unit, "shared")
                await grant(other_athlete, UNITS, unit, athlete)
            case "public":
                await share(other_athlete, UNITS, unit, "public")
            case "in a plan":
                await share(other_athlete, PLANS, await make_plan(other_athlete, [(unit, 1)]), "public")
        caller = superuser if shared == "superuser" else athlete
        session = await start(caller, trainingUnitId=unit["id"])
        assert [(e["exerciseId"], e["exerciseName"] == name) for e in session["exercises"]] == [
            (None, True),
            (str(system), False),
        ]
        assert session["exercises"][0]["plannedUnitExerciseId"] == unit["exercises"][0]["id"]

    async def test_a_hidden_one_is_a_missing_one(
        self, athlete: Actor, other_athlete: Actor, connection: Connection
    ) -> None:
        unit = await make_unit(other_athlete, exercise())
        bodies = []
        for key in (unit["id"], str(uuid7())):
            body = problem(await athlete.client.post(SESSIONS, json={"trainingUnitId": key}), 404)
            bodies.append({name: value for name, value in body.items() if name != "requestId"})
        assert bodies[0] == bodies[1]
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0

    async def test_the_same_id_again_answers_with_what_is_stored_even_when_the_unit_went(
        self, athlete: Actor, connection: Connection
    ) -> None:
        unit = await make_unit(athlete, exercise())
        body = {"id": str(uuid7()), "trainingUnitId": unit["id"]}
        session = await start(athlete, **body)
        again = await athlete.client.post(SESSIONS, json=body)
        assert (again.status_code, again.json()) == (200, session)
        await athlete.client.delete(f"{UNITS}/{unit['id']}")
        again = await athlete.client.post(SESSIONS, json=body)
        assert (again.status_code, again.json()) == (200, await read(athlete, session))
        await athlete.client.delete(f"{SESSIONS}/{session['id']}")
        assert (await athlete.client.post(SESSIONS, json=body)).status_code == 410
        assert await connection.fetchval("SELECT count(*) FROM training_session_exercises") == 0

    async def test_one_start_of_many_makes_one_copy(
        self, athlete: Actor, clients: list[httpx.AsyncClient], connection: Connection
    ) -> None:
        unit = await make_unit(athlete, exercise(), exercise("Rows"))
        body = {"id": str(uuid7()), "trainingUnitId": unit["id"]}
        answers = await asyncio.gather(*(client.post(SESSIONS, json=body) for client in clients))
        assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
        assert await connection.fetchval("SELECT count(*) FROM training_session_exercises") == 2

    async def test_a_unit_that_is_deleted_meanwhile_breaks_nothing(
        self, athlete: Actor, clients: list[httpx.AsyncClient]
    ) -> None:
        unit = await make_unit(athlete, *[exercise(f"Lift {n}") for n in range(5)])
        deleted, *started = await asyncio.gather(
            clients[1].delete(f"{UNITS}/{unit['id']}"),
            *(client.post(SESSIONS, json={"trainingUnitId": unit["id"]}) for client in clients[2:]),
        )
        assert deleted.status_code == 204
        assert {answer.status_code for answer in started} <= {201, 404}
        for answer in started:
            if answer.status_code == 201:
                session = await read(athlete, answer.json())
                assert (session["trainingUnitId"], len(session["exercises"])) == (None, 5)
                assert {e["plannedUnitExerciseId"] for e in session["exercises"]} == {None}


class TestFromAPlan:
    async def test_the_day_is_copied_with_its_unit(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, exercise())
        plan = await make_plan(athlete, [(unit, 3)])
        session = await start(athlete, trainingPlanId=plan["id"], planUnitId=plan["units"][0]["id"])
        names = ("trainingPlanId", "trainingUnitId", "planUnitId", "planName", "unitName", "dayNumber")
        assert [session[name] for name in names] == [
            plan["id"],
            unit["id"],
            plan["units"][0]["id"],
            plan["name"],
            unit["name"],
            3,
        ]
        assert len(session["exercises"]) == 1

    async def test_of_several_days_with_the_unit_the_first_undone(self, athlete: Actor) -> None:
        push, pull = await make_unit(athlete), await make_unit(athlete)
        plan = await make_plan(athlete, [(push, 1), (pull, 2), (push, 4)])
        body = {"trainingPlanId": plan["id"], "trainingUnitId": push["id"]}
        days = []
        for _ in range(3):
            # A session that is not completed leaves its day undone.
            begun = await start(athlete, **body)
            await athlete.client.post(f"{SESSIONS}/{begun['id']}/abort")
            session = await start(athlete, **body)
            days.append((begun["dayNumber"], session["dayNumber"]))
            await complete(athlete, session)
        assert days == [(1, 1), (4, 4), (1, 1)]

    async def test_somebody_elses_sessions_do_not_count(self, athlete: Actor, other_athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1), (unit, 2)])
        await share(athlete, PLANS, plan, "public")
        await do_day(other_athlete, plan, 0)
        session = await start(athlete, trainingPlanId=plan["id"], trainingUnitId=unit["id"])
        assert session["dayNumber"] == 1

    @pytest.mark.parametrize(
        "case", ["unit of no day", "no day", "day of another plan", "unit of another day", "no unit"]
    )
    async def test_what_is_not_in_the_plan_is_refused(self, athlete: Actor, connection: Connection, case: str) -> None:
        unit, other_unit = await make_unit(athlete), await make_unit(athlete)
        plan, other_plan = await make_plan(athlete, [(unit, 1)]), await make_plan(athlete, [(other_unit, 1)])
        body, field = {
            "unit of no day": ({"trainingUnitId": other_unit["id"]}, "trainingUnitId"),
            "no day": ({"planUnitId": 2**31 - 1}, "planUnitId"),
            "day of another plan": ({"planUnitId": other_plan["units"][0]["id"]}, "planUnitId"),
            "unit of another day": (
                {"planUnitId": plan["units"][0]["id"], "trainingUnitId": other_unit["id"]},
                "trainingUnitId",
            ),
            "no unit": ({}, "body"),
        }[case]
        answer = await athlete.client.post(SESSIONS, json={"trainingPlanId": plan["id"], **body})
        assert broken_fields(answer) == {field: "rule"}
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0

    async def test_a_hidden_plan_is_a_missing_one(self, athlete: Actor, other_athlete: Actor) -> None:
        unit = await make_unit(other_athlete)
        plan = await make_plan(other_athlete, [(unit, 1)])
        for body in (
            {"planUnitId": plan["units"][0]["id"]},
            {"trainingPlanId": plan["id"], "trainingUnitId": unit["id"]},
        ):
            problem(await athlete.client.post(SESSIONS, json=body), 404)


class TestNext:
    async def test_goes_through_the_days_and_begins_again(self, athlete: Actor) -> None:
        unit, other = await make_unit(athlete), await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1), (other, 1), (unit, 5)])
        path = []
        for place in (0, 2, 1, 0):
            path.append(await next_place(athlete, plan))
            await do_day(athlete, plan, place)
        assert [*path, await next_place(athlete, plan)] == [(1, 0), (1, 1), (1, 1), (2, 0), (2, 1)]

    async def test_tells_the_day(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 7)])
        found = await get(athlete, f"{PLANS}/{plan['id']}/next")
        assert found == {
            "trainingPlanId": plan["id"],
            "planName": plan["name"],
            "round": 1,
            "next": {
                "planUnitId": plan["units"][0]["id"],
                "trainingUnitId": unit["id"],
                "unitName": unit["name"],
                "dayNumber": 7,
                "orderIndex": 1,
                "timesDone": 0,
                "lastDone": None,
                "isDone": False,
            },
        }

    async def test_a_day_that_is_added_late_is_next_once(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1), (unit, 2)])
        for place in (0, 1, 0, 1, 0):
            await do_day(athlete, plan, place)
        new = {"trainingUnitId": unit["id"], "dayNumber": 3}
        await athlete.client.post(f"{PLANS}/{plan['id']}/units", json=new)
        plan = await get(athlete, f"{PLANS}/{plan['id']}")
        assert await next_place(athlete, plan) == (1, 2)
        await do_day(athlete, plan, 2)
        assert await next_place(athlete, plan) == (2, 0)

    async def test_an_empty_plan_has_none(self, athlete: Actor) -> None:
        plan = await make_plan(athlete)
        found = await get(athlete, f"{PLANS}/{plan['id']}/next")
        assert (found["round"], found["next"]) == (1, None)

    async def test_follows_my_own_history_in_a_plan_of_another(self, athlete: Actor, other_athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1), (unit, 2)])
        await share(athlete, PLANS, plan, "public")
        await do_day(athlete, plan, 0)
        assert await next_place(athlete, plan) == (1, 1)
        assert await next_place(other_athlete, plan) == (1, 0)

    @pytest.mark.parametrize("what", ["next", "progress"])
    async def test_a_hidden_plan_is_a_missing_one(self, athlete: Actor, other_athlete: Actor, what: str) -> None:
        plan = await make_plan(other_athlete)
        bodies = [
            problem(await athlete.client.get(f"{PLANS}/{key}/{what}"), 404) | {"instance": "", "requestId": ""}
            for key in (plan["id"], str(uuid7()))
        ]
        assert bodies[0] == bodies[1]


class TestProgress:
    async def test_tells_which_days_are_done_and_when(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1), (unit, 2), (unit, 3)])
        await do_day(athlete, plan, 0)
        last = await do_day(athlete, plan, 0)
        await start(athlete, planUnitId=plan["units"][1]["id"])
        progress = await get(athlete, f"{PLANS}/{plan['id']}/progress")
        assert (progress["round"], progress["total"], progress["done"]) == (1, 3, 1)
        assert [(day["timesDone"], day["isDone"]) for day in progress["days"]] == [(2, True), (0, False), (0, False)]
        assert progress["days"][0]["lastDone"] == {"sessionId": last["id"], "localDate": last["localDate"]}
        assert [day["lastDone"] for day in progress["days"][1:]] == [None, None]

    async def test_follows_corrections_of_the_history(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1)])
        session = await do_day(athlete, plan, 0)
        await athlete.client.delete(f"{SESSIONS}/{session['id']}")
        progress = await get(athlete, f"{PLANS}/{plan['id']}/progress")
        assert (progress["done"], progress["days"][0]["timesDone"]) == (0, 0)
