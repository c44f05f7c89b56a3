import asyncio
import time
from typing import Any

import pytest

from app.cli.demo import EMAIL, create_demo
from app.security.passwords import password_problems
from tests.actors import sign_in
from tests.history.workouts import Connection
from tests.service import Service


class TestDemo:
    async def test_six_weeks_of_workouts_to_look_at(self, service: Service, connection: Connection) -> None:
        account = await asyncio.to_thread(create_demo, service.settings)
        assert account is not None
        assert (account.email, password_problems(account.password)) == (EMAIL, [])
        client = service.client()
        await sign_in(client, account.email, account.password)
        sessions = (await client.get("/api/v1/training-sessions", params={"pageSize": 100})).json()["items"]
        assert len(sessions) == 24
        assert {session["status"] for session in sessions} == {"completed"}
        assert all(2400 < session["durationSeconds"] < 6000 for session in sessions)
        exercises = [exercise for session in sessions for exercise in session["exercises"]]
        assert {exercise["mode"] for exercise in exercises} == {"reps", "time", "distance", "sets_only"}
        assert all(exercise["sets"] for exercise in exercises)
        assert _heaviest(sessions[-8:]) < _heaviest(sessions[:8])

    @pytest.mark.usefixtures("connection")
    async def test_they_follow_a_plan(self, service: Service) -> None:
        account = await asyncio.to_thread(create_demo, service.settings)
        assert account is not None
        client = service.client()
        await sign_in(client, account.email, account.password)
        [plan] = (await client.get("/api/v1/training-plans")).json()["items"]
        progress = (await client.get(f"/api/v1/training-plans/{plan['id']}/progress")).json()
        assert [(day["unitName"], day["dayNumber"], day["timesDone"]) for day in progress["days"]] == [
            ("Push", 1, 6),
            ("Pull", 2, 6),
            ("Legs", 4, 6),
            ("Conditioning", 6, 6),
        ]
        assert progress["round"] == 7

    async def test_its_exercises_are_those_of_the_catalogue(self, service: Service, connection: Connection) -> None:
        await asyncio.to_thread(create_demo, service.settings)
        alone = await connection.fetch(
            "SELECT DISTINCT exercise_name_snapshot FROM training_session_exercises WHERE exercise_id IS NULL"
        )
        assert alone == []

    async def test_a_second_time_changes_nothing(self, service: Service, connection: Connection) -> None:
        await asyncio.to_thread(create_demo, service.settings)
        before = await connection.fetchrow("SELECT * FROM user_account")
        assert await asyncio.to_thread(create_demo, service.settings) is None
        assert await connection.fetchrow("SELECT * FROM user_account") == before
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 24

    @pytest.mark.usefixtures("connection")
    async def test_it_takes_less_than_a_second(self, service: Service) -> None:
        began = time.process_time()
        await asyncio.to_thread(create_demo, service.settings)
        assert time.process_time() - began < 1


def _heaviest(sessions: list[dict[str, Any]]) -> float:
    sets = [item for session in sessions for exercise in session["exercises"] for item in exercise["sets"]]
    return max(item["weight"] or 0 for item in sets)
