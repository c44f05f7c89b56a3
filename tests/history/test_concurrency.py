"""Several clients write to one session at once, through two apps with their own pools."""

import asyncio
from itertools import chain
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.base import uuid7
from tests.actors import Actor
from tests.history.workouts import (
    SESSIONS,
    Connection,
    add_exercise,
    add_sets,
    create_exercise,
    exercise_path,
    read,
    sets_path,
    start,
)
from tests.training.templates import UNITS, exercise, make_plan, make_unit

MOVES = st.lists(st.tuples(st.sampled_from(["add", "insert", "remove", "order"]), st.integers(0, 9)), max_size=12)


class TestAtOnce:
    async def test_no_set_is_lost_and_no_place_taken_twice(
        self, athlete: Actor, clients: list[httpx.AsyncClient], connection: Connection
    ) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        path = sets_path(session, exercise)

        async def add(client: httpx.AsyncClient, first: int) -> list[int]:
            answers = [await client.post(path, json={"repsCompleted": first + number}) for number in range(5)]
            assert [answer.status_code for answer in answers] == [201] * 5
            return [answer.json()["orderIndex"] for answer in answers]

        orders = await asyncio.gather(*(add(client, 10 * number) for number, client in enumerate(clients)))
        assert sorted(chain(*orders)) == list(range(1, 51))
        sets = (await read(athlete, session))["exercises"][0]["sets"]
        assert [item["orderIndex"] for item in sets] == list(range(1, 51))
        assert len({item["repsCompleted"] for item in sets}) == 50
        # The root's version counts every write: the start, the exercise, fifty sets.
        assert await connection.fetchval("SELECT version FROM training_sessions") == 52

    async def test_each_answer_carries_its_own_version(self, athlete: Actor, clients: list[httpx.AsyncClient]) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        path = sets_path(session, exercise)
        answers = await asyncio.gather(*(client.post(path, json={}) for client in clients))
        assert sorted(answer.headers["etag"] for answer in answers) == sorted(
            f'"{version}-owner"' for version in range(3, 13)
        )

    async def test_adding_moving_and_removing_leaves_an_order_without_gaps(
        self, athlete: Actor, clients: list[httpx.AsyncClient]
    ) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        ids = [item["id"] for item in await add_sets(athlete, session, exercise, *[{}] * 8)]
        path = sets_path(session, exercise)
        answers = await asyncio.gather(
            *(client.post(path, json=[{}, {}]) for client in clients[:4]),
            *(client.put(f"{path}/order", json={"ids": ids[::-1]}) for client in clients[4:7]),
            *(client.delete(f"{path}/{key}") for client, key in zip(clients[7:], ids, strict=False)),
        )
        assert {answer.status_code for answer in answers[:4]} == {201}
        assert {answer.status_code for answer in answers[4:7]} <= {200, 422}
        assert {answer.status_code for answer in answers[7:]} == {204}
        sets = (await read(athlete, session))["exercises"][0]["sets"]
        assert [item["orderIndex"] for item in sets] == list(range(1, 14))

    async def test_exercises_too(self, athlete: Actor, clients: list[httpx.AsyncClient]) -> None:
        session = await start(athlete)
        path = f"{SESSIONS}/{session['id']}/exercises"
        answers = await asyncio.gather(
            *(
                client.post(path, json={"exerciseName": str(number), "position": 1 + number % 3})
                for number, client in enumerate(clients)
            )
        )
        assert {answer.status_code for answer in answers} == {201}
        exercises = (await read(athlete, session))["exercises"]
        assert [item["orderIndex"] for item in exercises] == list(range(1, 11))
        assert {item["exerciseName"] for item in exercises} == {str(number) for number in range(10)}

    async def test_two_orders_leave_one_of_the_two(self, athlete: Actor, clients: list[httpx.AsyncClient]) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        ids = [item["id"] for item in await add_sets(athlete, session, exercise, *[{}] * 6)]
        path = f"{sets_path(session, exercise)}/order"
        wanted = [ids[::-1], ids[3:] + ids[:3]]

        async def watch() -> list[list[int]]:
            documents = [await read(athlete, session) for _ in range(8)]
            return [[item["id"] for item in document["exercises"][0]["sets"]] for document in documents]

        first, second, seen = await asyncio.gather(
            clients[1].put(path, json={"ids": wanted[0]}), clients[2].put(path, json={"ids": wanted[1]}), watch()
        )
        assert first.status_code == second.status_code == 200
        assert all(order in [ids, *wanted] for order in seen)
        document = await read(athlete, session)
        assert [item["id"] for item in document["exercises"][0]["sets"]] in wanted

    async def test_one_of_two_ends_wins(self, athlete: Actor, clients: list[httpx.AsyncClient]) -> None:
        session = await start(athlete)
        path = f"{SESSIONS}/{session['id']}"
        answers = await asyncio.gather(
            *(client.post(f"{path}/{step}") for client, step in zip(clients, ["complete", "abort"] * 5, strict=True))
        )
        [winner] = [answer for answer in answers if answer.status_code == 200]
        assert [answer.status_code for answer in answers].count(409) == 9
        assert await read(athlete, session) == winner.json()

    async def test_of_writers_with_one_version_one_wins(self, athlete: Actor, clients: list[httpx.AsyncClient]) -> None:
        session = await start(athlete)
        path = f"{SESSIONS}/{session['id']}"
        answers = await asyncio.gather(
            *(
                client.patch(path, json={"notes": str(number)}, headers={"if-match": '"1-owner"'})
                for number, client in enumerate(clients)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9

    async def test_a_deletion_against_a_change_has_one_clean_loser(
        self, athlete: Actor, clients: list[httpx.AsyncClient], connection: Connection
    ) -> None:
        session = await start(athlete)
        path = f"{SESSIONS}/{session['id']}"
        deleted, *changed = await asyncio.gather(
            clients[1].delete(path), *(client.patch(path, json={"notes": "late"}) for client in clients[2:6])
        )
        assert deleted.status_code == 204
        assert {answer.status_code for answer in changed} <= {200, 404}
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0

    async def test_one_start_of_many_with_one_id_makes_it(
        self, athlete: Actor, clients: list[httpx.AsyncClient], connection: Connection
    ) -> None:
        body = {"id": str(uuid7())}
        answers = await asyncio.gather(*(client.post(SESSIONS, json=body) for client in clients))
        assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
        assert len({answer.text for answer in answers}) == 1
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 1

    async def test_one_start_of_many_with_an_external_id_too_makes_it(
        self, athlete: Actor, clients: list[httpx.AsyncClient], connection: Connection
    ) -> None:
        # Two keys that are found taken at the same moment: rare, so there are many tries.
        for number in range(10):
            body = {"id": str(uuid7()), "source": "strong", "externalId": str(number)}
            answers = await asyncio.gather(*(client.post(SESSIONS, json=body) for client in clients))
            assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 10

    async def test_a_start_against_a_deletion_never_brings_it_back(
        self, athlete: Actor, clients: list[httpx.AsyncClient], connection: Connection
    ) -> None:
        session = await start(athlete, id=str(uuid7()))
        deleted, *started = await asyncio.gather(
            clients[1].delete(f"{SESSIONS}/{session['id']}"),
            *(client.post(SESSIONS, json={"id": session["id"]}) for client in clients[2:]),
        )
        assert deleted.status_code == 204
        assert {answer.status_code for answer in started} <= {200, 410}
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0


class TestRemovedMeanwhile:
    """What a request waits for, somebody else removes."""

    @pytest.mark.parametrize(
        ("method", "rest", "body"),
        [
            ("PATCH", "", {"exerciseName": "Rows"}),
            ("DELETE", "", None),
            ("POST", "/sets", {"repsCompleted": 5}),
            ("PATCH", "/sets/{set}", {"repsCompleted": 5}),
            ("DELETE", "/sets/{set}", None),
            ("PUT", "/sets/order", {"ids": []}),
        ],
    )
    async def test_an_exercise(
        self, athlete: Actor, connection: Connection, method: str, rest: str, body: dict[str, Any] | None
    ) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        [done] = await add_sets(athlete, session, exercise, {})
        path = exercise_path(session, exercise) + rest.format(set=done["id"])
        async with connection.transaction():
            await connection.execute("SELECT FROM training_sessions FOR UPDATE")
            waiting = asyncio.create_task(athlete.client.request(method, path, json=body))
            await _somebody_waits(connection)
            await connection.execute("DELETE FROM training_session_exercises")
        assert (await waiting).status_code == 404
        assert (await read(athlete, session))["exercises"] == []

    @pytest.mark.parametrize(
        ("method", "rest", "body"),
        [
            ("PATCH", "", {"notes": "late"}),
            ("POST", "/complete", None),
            ("DELETE", "", None),
            ("POST", "/exercises", {"exerciseName": "Rows"}),
            ("PUT", "/exercises/order", {"ids": []}),
        ],
    )
    async def test_a_session(
        self, athlete: Actor, connection: Connection, method: str, rest: str, body: dict[str, Any] | None
    ) -> None:
        session = await start(athlete)
        async with connection.transaction():
            await connection.execute("SELECT FROM training_sessions FOR UPDATE")
            waiting = asyncio.create_task(
                athlete.client.request(method, f"{SESSIONS}/{session['id']}{rest}", json=body)
            )
            await _somebody_waits(connection)
            await connection.execute("DELETE FROM training_sessions")
        assert (await waiting).status_code == 404
        # That of the deletion itself.
        assert await connection.fetchval("SELECT count(*) FROM tombstone") == 1

    @pytest.mark.parametrize("what", ["training_units", "training_plans", "exercises", "training_unit_exercises"])
    async def test_what_a_start_has_read_leaves_its_names(
        self, athlete: Actor, connection: Connection, what: str
    ) -> None:
        exercise_id, name = await create_exercise(connection, athlete)
        unit = await make_unit(athlete, {"exerciseId": str(exercise_id), "mode": "reps", "repsMin": 5})
        plan = await make_plan(athlete, [(unit, 1)])
        async with connection.transaction():
            if what == "training_units":
                await connection.execute("DELETE FROM training_plan_units")
            key = {"training_plans": plan, "training_units": unit, "training_unit_exercises": unit["exercises"][0]}
            condition = "created_by IS NOT NULL" if what == "exercises" else f"id = '{key[what]['id']}'"
            await connection.execute(f"DELETE FROM {what} WHERE {condition}")
            waiting = asyncio.create_task(start(athlete, planUnitId=plan["units"][0]["id"]))
            await _somebody_waits(connection)
        session = await waiting
        assert session == await read(athlete, session)
        assert (session["planName"], session["unitName"], session["dayNumber"]) == (plan["name"], unit["name"], 1)
        [planned] = session["exercises"]
        assert (planned["exerciseName"], planned["planned"]["repsMin"]) == (name, 5)
        links = {
            "training_plans": (session["trainingPlanId"], session["planUnitId"]),
            "training_units": (session["trainingUnitId"], planned["plannedUnitExerciseId"], session["planUnitId"]),
            "exercises": (planned["exerciseId"],),
            "training_unit_exercises": (planned["plannedUnitExerciseId"],),
        }
        assert set(links[what]) == {None}


class TestTemplatesGo:
    """Whoever writes to a session holds it first, and so does what takes its links away."""

    @pytest.mark.parametrize("what", ["the unit", "its exercise", "all exercises"])
    async def test_while_a_session_of_them_is_written(self, athlete: Actor, connection: Connection, what: str) -> None:
        unit = await make_unit(athlete, exercise(), exercise("Rows"))
        session = await start(athlete, trainingUnitId=unit["id"])
        path, child = f"{UNITS}/{unit['id']}", unit["exercises"][0]["id"]
        calls: dict[str, tuple[str, str, Any]] = {
            "the unit": ("DELETE", path, None),
            "its exercise": ("DELETE", f"{path}/exercises/{child}", None),
            "all exercises": ("PATCH", path, {"exercises": []}),
        }
        method, path, body = calls[what]
        async with connection.transaction():
            await connection.execute("SELECT FROM training_sessions FOR UPDATE")
            waiting = asyncio.create_task(athlete.client.request(method, path, json=body))
            await _somebody_waits(connection)
            await connection.execute("UPDATE training_session_exercises SET superset_group = 1")
        assert (await waiting).is_success
        after = (await read(athlete, session))["exercises"]
        assert [item["supersetGroup"] for item in after] == [1, 1]
        assert after[0]["plannedUnitExerciseId"] is None


async def _somebody_waits(connection: Connection) -> None:
    async with asyncio.timeout(10):
        while not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        ):
            pass


class TestSequences:
    """Whatever is done in whatever order, the places are those of a list."""

    @given(moves=MOVES, parent=st.sampled_from(["exercises", "sets"]))
    @settings(
        max_examples=10,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    async def test_places_are_those_of_a_list(self, athlete: Actor, moves: list[tuple[str, int]], parent: str) -> None:
        session = await start(athlete)
        path = f"{SESSIONS}/{session['id']}/exercises"
        if parent == "sets":
            exercise = await add_exercise(athlete, session)
            path = f"{exercise_path(session, exercise)}/sets"
        body = {"exerciseName": "Rows"} if parent == "exercises" else {}
        model: list[int] = []
        for move, number in moves:
            await _step(athlete, path, body, model, move, number)
            document = await read(athlete, session)
            rows = document["exercises"] if parent == "exercises" else document["exercises"][0]["sets"]
            assert [row["id"] for row in rows] == model
            assert [row["orderIndex"] for row in rows] == list(range(1, len(model) + 1))


async def _step(athlete: Actor, path: str, body: dict[str, Any], model: list[int], move: str, number: int) -> None:
    """Do one thing to the service, and to the list."""
    match move:
        case "insert":
            answer = await athlete.client.post(path, json={**body, "position": number + 1})
            model.insert(number, answer.json()["id"])
        case "add":
            answer = await athlete.client.post(path, json=body)
            model.append(answer.json()["id"])
        case "remove" if model:
            answer = await athlete.client.delete(f"{path}/{model.pop(number % len(model))}")
        case _:
            turn = number % (len(model) or 1)
            model[:] = model[turn:][::-1] + model[:turn]
            answer = await athlete.client.put(f"{path}/order", json={"ids": model})
    assert answer.status_code in {200, 201, 204}, answer.text
