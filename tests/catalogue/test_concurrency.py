"""What several people, or one person twice, do to the catalogue at once."""

import asyncio
from typing import Any

import pytest

from tests.actors import Actor, sign_in
from tests.answers import problem
from tests.catalogue.exercises import EXERCISES, Connection, create_custom, create_system, row, use_in_session
from tests.conftest import MakeApp
from tests.factories import CustomExerciseFactory, SystemExerciseFactory, unique


class TestAtOnce:
    async def test_one_of_two_gets_a_name(self, athlete: Actor, connection: Connection) -> None:
        body = CustomExerciseFactory.build()
        answers = await asyncio.gather(*(athlete.client.post(f"{EXERCISES}/user", json=body) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
        assert await connection.fetchval("SELECT count(*) FROM exercises WHERE created_by = $1", athlete.id) == 1

    async def test_one_of_two_gets_a_slug(self, superuser: Actor) -> None:
        name = unique("Twice")
        bodies = (SystemExerciseFactory.build(name=name), SystemExerciseFactory.build(name=f"{name}!"))
        answers = await asyncio.gather(*(superuser.client.post(f"{EXERCISES}/system", json=body) for body in bodies))
        assert sorted(answer.status_code for answer in answers) == [201, 409]

    async def test_one_change_of_a_version_counts(self, athlete: Actor, connection: Connection) -> None:
        made = await create_custom(athlete)
        tag = (await athlete.client.get(f"{EXERCISES}/{made['id']}")).headers["etag"]
        answers = await asyncio.gather(
            *(
                athlete.client.patch(
                    f"{EXERCISES}/user/{made['id']}", json={"instructions": text}, headers={"If-Match": tag}
                )
                for text in ("one", "two", "three")
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412]
        [winner] = [answer.json()["instructions"] for answer in answers if answer.status_code == 200]
        assert (await row(connection, made["id"]))["instructions"] == winner

    async def test_changes_of_lists_do_not_mix(self, athlete: Actor) -> None:
        made = await create_custom(athlete)
        wanted = ([2, 3, 4], [5, 6], [7])
        await asyncio.gather(
            *(athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json={"secondaryMuscles": ids}) for ids in wanted)
        )
        stored = (await athlete.client.get(f"{EXERCISES}/{made['id']}")).json()["secondaryMuscles"]
        assert [entry["id"] for entry in stored] in wanted

    async def test_merging_both_ways_leaves_one(self, athlete: Actor) -> None:
        first, second = await create_custom(athlete), await create_custom(athlete)
        answers = await asyncio.gather(
            athlete.client.post(f"{EXERCISES}/{first['id']}/merge", json={"intoId": second["id"]}),
            athlete.client.post(f"{EXERCISES}/{second['id']}/merge", json={"intoId": first["id"]}),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 404]
        left = (await athlete.client.get(EXERCISES, params={"scope": "user"})).json()["items"]
        assert len(left) == 1

    @pytest.mark.parametrize("path", ["muscle-groups", "equipment", "exercise-tags"])
    async def test_one_of_two_gets_a_row(self, superuser: Actor, path: str) -> None:
        body = {"name": unique("Rope")}
        url = f"/api/v1/catalogs/{path}"
        answers = await asyncio.gather(*(superuser.client.post(url, json=body) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409]


class TestTheSameOrderOfLocks:
    async def test_merging_while_the_exercise_is_logged(self, athlete: Actor, connection: Connection) -> None:
        source, target = await create_custom(athlete), await create_custom(athlete)
        logged = await use_in_session(connection, athlete, source["id"])
        async with connection.transaction():
            await connection.execute("SELECT FROM training_sessions WHERE user_id = $1 FOR UPDATE", athlete.id)
            merging = asyncio.create_task(
                athlete.client.post(f"{EXERCISES}/{source['id']}/merge", json={"intoId": target["id"]})
            )
            await _somebody_waits(connection)
            await connection.execute(
                """
                INSERT INTO training_session_exercises
                    (training_session_id, exercise_id, mode_snapshot, exercise_name_snapshot, order_index)
                SELECT training_session_id, exercise_id, mode_snapshot, exercise_name_snapshot, 2
                FROM training_session_exercises WHERE id = $1
                """,
                logged,
            )
        assert (await merging).status_code == 200
        stored = await connection.fetch("SELECT exercise_id, exercise_name_snapshot FROM training_session_exercises")
        assert [(str(row["exercise_id"]), row["exercise_name_snapshot"]) for row in stored] == [
            (target["id"], source["name"])
        ] * 2

    async def test_renaming_a_muscle_while_an_exercise_takes_it_up(
        self, superuser: Actor, athlete: Actor, connection: Connection
    ) -> None:
        made = await create_custom(athlete, primaryMuscles=[1])
        async with connection.transaction():
            await connection.execute("SELECT FROM exercises WHERE id = $1 FOR UPDATE", made["id"])
            renaming = asyncio.create_task(
                superuser.client.patch("/api/v1/catalogs/muscle-groups/1", json={"name": "renamed"})
            )
            await _somebody_waits(connection)
            await connection.execute("SELECT FROM muscle_groups WHERE id = 1 FOR KEY SHARE")
        assert (await renaming).status_code == 200
        assert (await athlete.client.get(f"{EXERCISES}/{made['id']}")).json()["primaryMuscles"] == [
            {"id": 1, "name": "renamed"}
        ]


class TestRemovedMeanwhile:
    async def test_an_exercise_that_somebody_deletes(self, superuser: Actor, connection: Connection) -> None:
        made = await create_system(superuser)
        async with connection.transaction():
            await connection.execute("DELETE FROM exercises WHERE id = $1", made["id"])
            waiting = asyncio.create_task(
                superuser.client.patch(f"{EXERCISES}/system/{made['id']}", json={"force": "pull"})
            )
            await _somebody_waits(connection)
        problem(await waiting, 404)

    async def test_an_exercise_that_comes_into_use(self, athlete: Actor, connection: Connection) -> None:
        made = await create_custom(athlete)
        async with connection.transaction():
            await connection.execute(
                """
                WITH session AS (
                    INSERT INTO training_sessions (id, user_id, user_timezone)
                    VALUES (gen_random_uuid(), $1, 'UTC') RETURNING id)
                INSERT INTO training_session_exercises
                    (training_session_id, exercise_id, mode_snapshot, exercise_name_snapshot, order_index)
                SELECT id, $2, 'reps', 'Lift', 1 FROM session
                """,
                athlete.id,
                made["id"],
            )
            waiting = asyncio.create_task(athlete.client.delete(f"{EXERCISES}/{made['id']}"))
            await _somebody_waits(connection)
        assert (await waiting).status_code == 204
        assert (await row(connection, made["id"]))["is_active"] is False

    async def test_an_equipment_that_somebody_deletes(
        self, superuser: Actor, athlete: Actor, connection: Connection
    ) -> None:
        entry = (await superuser.client.post("/api/v1/catalogs/equipment", json={"name": unique("Spare")})).json()
        async with connection.transaction():
            await connection.execute("DELETE FROM equipment WHERE id = $1", entry["id"])
            body = CustomExerciseFactory.build(equipment=[entry["id"]])
            waiting = asyncio.create_task(athlete.client.post(f"{EXERCISES}/user", json=body))
            await _somebody_waits(connection)
        problem(await waiting, 404)
        assert await connection.fetchval("SELECT count(*) FROM exercises WHERE created_by = $1", athlete.id) == 0


async def test_new_connections_are_asked_nothing_about_types(
    superuser: Actor, make_app: MakeApp, statements: Any
) -> None:
    client = (await make_app()).client()
    await sign_in(client, superuser.email)
    filters = "primaryMuscles=1&primaryMuscles=2&category=strength&searchString=bench%20press"
    with statements() as sent:
        for path in (f"?{filters}", "/criteria?slug=plank"):
            assert (await client.get(EXERCISES + path)).status_code == 200
        made = await client.post(
            f"{EXERCISES}/system", json=SystemExerciseFactory.build(aliases=["One", "Two"], equipment=[1, 2])
        )
        assert made.status_code == 201
        change = {"aliases": ["Three"], "equipment": [3]}
        assert (await client.patch(f"{EXERCISES}/system/{made.json()['id']}", json=change)).status_code == 200
    assert not [statement for statement in sent if "typeinfo" in statement]


async def _somebody_waits(connection: Connection) -> None:
    async with asyncio.timeout(10):
        while not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        ):
            pass
