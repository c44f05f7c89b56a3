"""What each call sends to PostgreSQL, BEGIN and COMMIT included."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from app.db.base import uuid7
from tests.actors import Actor, sign_in
from tests.conftest import MakeApp
from tests.history.workouts import SESSIONS, add_exercise, add_sets, sets_path, start
from tests.statements import Statements
from tests.training.templates import PLANS, exercise, make_plan, make_unit

Counted = Callable[[], AbstractContextManager[Statements]]


class TestBudget:
    async def test_a_session_is_read_in_one(self, athlete: Actor, statements: Counted) -> None:
        session = await start(athlete)
        for _ in range(3):
            exercise = await add_exercise(athlete, session)
            await add_sets(athlete, session, exercise, *[{"repsCompleted": 5}] * 5)
        with statements() as sent:
            await athlete.client.get(f"{SESSIONS}/{session['id']}")
        assert len(sent) == 1, sent

    async def test_a_list_is_read_in_one(self, athlete: Actor, statements: Counted) -> None:
        for _ in range(3):
            await add_exercise(athlete, await start(athlete))
        for query in ({}, {"pageSize": 1}, {"status": "in_progress", "from": "2026-01-01"}):
            with statements() as sent:
                await athlete.client.get(SESSIONS, params=query)
            assert len(sent) == 1, sent

    @pytest.mark.parametrize("count", [None, 1, 50])
    async def test_sets_are_added_in_four(self, athlete: Actor, statements: Counted, count: int | None) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        with statements() as sent:
            body = [{"repsCompleted": 5}] * count if count else {"repsCompleted": 5}
            await athlete.client.post(sets_path(session, exercise), json=body)
        assert len(sent) == 4, sent
        assert [statement.split()[0] for statement in sorted(sent)] == ["BEGIN;", "COMMIT;", "INSERT", "SELECT"]

    @pytest.mark.parametrize(
        ("method", "rest", "most"),
        [
            ("PATCH", "", 5),
            ("POST", "/complete", 5),
            ("DELETE", "", 4),
            ("POST", "/exercises", 5),
            ("PATCH", "/exercises/{exercise}", 6),
            ("PATCH", "/exercises/{exercise}/sets/{set}", 4),
            ("PUT", "/exercises/{exercise}/sets/order", 7),
            ("DELETE", "/exercises/{exercise}/sets/{set}", 7),
        ],
    )
    async def test_other_writes_take_few(
        self, athlete: Actor, statements: Counted, method: str, rest: str, most: int
    ) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        ids = [item["id"] for item in await add_sets(athlete, session, exercise, *[{}] * 20)]
        bodies = {"/exercises": {"exerciseName": "Rows"}, "/exercises/{exercise}/sets/order": {"ids": ids[::-1]}}
        path = f"{SESSIONS}/{session['id']}{rest.format(exercise=exercise['id'], set=ids[0])}"
        with statements() as sent:
            answer = await athlete.client.request(
                method, path, json=bodies.get(rest, None if method == "DELETE" else {})
            )
        assert answer.is_success, answer.text
        assert len(sent) <= most, sent

    async def test_starting_takes_few(self, athlete: Actor, statements: Counted) -> None:
        await start(athlete)
        with statements() as sent:
            await athlete.client.post(SESSIONS, json={})
        assert len(sent) == 4, sent

    async def test_new_connections_are_asked_nothing_about_types(
        self, athlete: Actor, make_app: MakeApp, statements: Counted
    ) -> None:
        client = (await make_app()).client()
        await sign_in(client, athlete.email)
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        ids = [item["id"] for item in await add_sets(athlete, session, exercise, {}, {})]
        sets = sets_path(session, exercise)
        with statements() as sent:
            for method, path, body in (
                ("GET", f"{SESSIONS}?status=completed&exerciseId={session['id']}&from=2026-01-01", None),
                ("POST", sets, {"repsCompleted": 1, "position": 1}),
                ("PATCH", f"{sets}/{ids[0]}", {"weight": 1}),
                ("DELETE", f"{sets}/{ids[0]}", None),
                ("POST", f"{SESSIONS}/{session['id']}/exercises", {"exerciseName": "Rows", "position": 1}),
                ("PATCH", f"{SESSIONS}/{session['id']}", {"notes": "x"}),
                ("GET", f"{SESSIONS}/{session['id']}", None),
            ):
                assert (await client.request(method, path, json=body)).is_success
        assert not [statement for statement in sent if "typeinfo" in statement]

    async def test_a_whole_session_takes_eight_whatever_its_length(self, athlete: Actor, statements: Counted) -> None:
        exercises = [{"exerciseName": f"Lift {n}", "sets": [{"repsCompleted": r} for r in range(5)]} for n in range(30)]
        path, body = f"{SESSIONS}/{uuid7()}", {"exercises": exercises}
        await athlete.client.put(path, json=body)
        for change in (exercises, exercises[::-1], exercises[:20] + [{"exerciseName": "New", "sets": [{}]}] * 10):
            body["exercises"] = change
            with statements() as sent:
                assert (await athlete.client.put(path, json=body)).status_code == 200
            assert len(sent) <= 8, sent
        with statements() as sent:
            assert (await athlete.client.put(f"{SESSIONS}/{uuid7()}", json=body)).status_code == 201
        assert len(sent) <= 8, sent

    @pytest.mark.parametrize("length", [1, 60])
    async def test_a_start_from_a_unit_takes_five_whatever_its_length(
        self, athlete: Actor, statements: Counted, length: int
    ) -> None:
        unit = await make_unit(athlete, *[exercise(f"Lift {n}") for n in range(length)])
        plan = await make_plan(athlete, [(unit, day) for day in range(1, 1 + length)])
        day = {"planUnitId": plan["units"][0]["id"]}
        for body in ({"trainingUnitId": unit["id"]}, {"trainingUnitId": unit["id"], "id": str(uuid7())}, day):
            with statements() as sent:
                assert len((await start(athlete, **body))["exercises"]) == length
            assert len(sent) <= 5, sent
        with statements() as sent:
            await start(athlete, trainingPlanId=plan["id"], trainingUnitId=unit["id"])
        assert len(sent) <= 6, sent

    async def test_last_time_statistics_and_progress_take_one(self, athlete: Actor, statements: Counted) -> None:
        unit = await make_unit(athlete, exercise(), exercise("Rows"))
        plan = await make_plan(athlete, [(unit, 1), (unit, 2)])
        session = await start(athlete, planUnitId=plan["units"][0]["id"])
        for path in (
            f"{SESSIONS}/{session['id']}/previous",
            f"{SESSIONS}/statistics",
            f"{PLANS}/{plan['id']}/next",
            f"{PLANS}/{plan['id']}/progress",
        ):
            with statements() as sent:
                assert (await athlete.client.get(path)).status_code == 200
            assert len(sent) == 1, sent
