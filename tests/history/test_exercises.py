from typing import Any

import pytest

from app.db.base import uuid7
from tests.actors import Actor
from tests.history.workouts import (
    NO_DETAILS,
    SESSIONS,
    Connection,
    add_exercise,
    add_sets,
    broken_fields,
    create_exercise,
    etag,
    exercise_path,
    read,
    start,
)

UNPLANNED = {
    "orderIndex": None,
    "targetWeight": None,
    "sets": None,
    "repsMin": None,
    "repsMax": None,
    "targetTimeSeconds": None,
    "targetDistanceKm": None,
    "restSeconds": None,
}

DONE = {"orderIndex": 1, "weight": 5, "repsCompleted": 1, "timeSeconds": None, "distanceKm": None, **NO_DETAILS}


class TestAdd:
    async def test_a_system_exercise_brings_its_name_and_mode(self, athlete: Actor, connection: Connection) -> None:
        exercise_id, name = await create_exercise(connection, mode="distance")
        session = await start(athlete)
        answer = await athlete.client.post(
            f"{SESSIONS}/{session['id']}/exercises", json={"exerciseId": str(exercise_id)}
        )
        assert answer.status_code == 201
        assert answer.headers["location"] == f"{SESSIONS}/{session['id']}"
        assert answer.headers["etag"] == await etag(athlete, session)
        added = answer.json()
        assert added == {
            "id": added["id"],
            "exerciseId": str(exercise_id),
            "exerciseName": name,
            "plannedUnitExerciseId": None,
            "mode": "distance",
            "orderIndex": 1,
            "supersetGroup": None,
            "planned": UNPLANNED,
            "sets": [],
        }
        row = await connection.fetchrow("SELECT * FROM training_session_exercises")
        assert row is not None
        assert (row["exercise_id"], row["exercise_name_snapshot"], row["mode_snapshot"], row["order_index"]) == (
            exercise_id,
            name,
            "distance",
            1,
        )

    async def test_the_name_stays_when_the_exercise_is_renamed(self, athlete: Actor, connection: Connection) -> None:
        exercise_id, name = await create_exercise(connection, athlete)
        session = await start(athlete)
        await add_exercise(athlete, session, exerciseId=str(exercise_id))
        await connection.execute("UPDATE exercises SET name = 'Other', is_active = false WHERE id = $1", exercise_id)
        assert [e["exerciseName"] for e in (await read(athlete, session))["exercises"]] == [name]

    async def test_a_mode_that_is_sent_wins(self, athlete: Actor, connection: Connection) -> None:
        exercise_id, _ = await create_exercise(connection, athlete, mode="reps")
        session = await start(athlete)
        assert (await add_exercise(athlete, session, exerciseId=str(exercise_id), mode="time"))["mode"] == "time"

    async def test_a_name_alone_is_an_exercise_too(self, athlete: Actor) -> None:
        session = await start(athlete)
        added = await add_exercise(athlete, session, exerciseName="  Farmer's   walk ")
        assert (added["exerciseId"], added["exerciseName"], added["mode"]) == (None, "Farmer's walk", "reps")
        added = await add_exercise(athlete, session, exerciseName="Stretching", mode="sets_only")
        assert (added["mode"], added["orderIndex"]) == ("sets_only", 2)

    async def test_the_exercises_own_name_is_taken_where_both_are_sent(
        self, athlete: Actor, connection: Connection
    ) -> None:
        exercise_id, name = await create_exercise(connection)
        session = await start(athlete)
        added = await add_exercise(athlete, session, exerciseId=str(exercise_id), exerciseName="Mine")
        assert added["exerciseName"] == name

    @pytest.mark.parametrize(("position", "order"), [(1, "cab"), (2, "acb"), (3, "abc"), (50, "abc")])
    async def test_a_position_inserts(self, athlete: Actor, connection: Connection, position: int, order: str) -> None:
        session = await start(athlete)
        for name in "ab":
            await add_exercise(athlete, session, exerciseName=name)
        added = await add_exercise(athlete, session, exerciseName="c", position=position)
        exercises = (await read(athlete, session))["exercises"]
        assert "".join(e["exerciseName"] for e in exercises) == order
        assert [e["orderIndex"] for e in exercises] == [1, 2, 3]
        assert added == exercises[order.index("c")]

    @pytest.mark.parametrize("whose", ["unknown", "foreign", "archived foreign"])
    async def test_what_one_may_not_refer_to_is_unknown(
        self, athlete: Actor, superuser: Actor, other_athlete: Actor, connection: Connection, whose: str
    ) -> None:
        exercise_id = uuid7()
        if whose != "unknown":
            exercise_id, _ = await create_exercise(connection, other_athlete, is_active=whose == "foreign")
        answers = []
        for actor in (athlete, superuser):
            session = await start(actor)
            path = f"{SESSIONS}/{session['id']}/exercises"
            answer = await actor.client.post(path, json={"exerciseId": str(exercise_id)})
            answers.append((answer.status_code, answer.json()["detail"]))
            assert await read(actor, session) == session
        assert answers == [(404, "There is no such exercise.")] * 2

    @pytest.mark.parametrize("is_mine", [True, False])
    async def test_a_new_reference_to_an_archived_one_breaks_a_rule(
        self, athlete: Actor, connection: Connection, is_mine: bool
    ) -> None:
        exercise_id, _ = await create_exercise(connection, athlete if is_mine else None, is_active=False)
        session = await start(athlete)
        answer = await athlete.client.post(
            f"{SESSIONS}/{session['id']}/exercises", json={"exerciseId": str(exercise_id)}
        )
        assert broken_fields(answer) == ["exerciseId"]
        assert await read(athlete, session) == session

    async def test_what_the_session_has_already_may_be_added_again(
        self, athlete: Actor, connection: Connection
    ) -> None:
        exercise_id, _ = await create_exercise(connection, athlete)
        session = await start(athlete)
        await add_exercise(athlete, session, exerciseId=str(exercise_id))
        await connection.execute("UPDATE exercises SET is_active = false WHERE id = $1", exercise_id)
        assert (await add_exercise(athlete, session, exerciseId=str(exercise_id)))["orderIndex"] == 2

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({}, ["body"]),
            ({"exerciseId": None, "exerciseName": None}, ["body"]),
            ({"exerciseId": "x"}, ["exerciseId"]),
            ({"exerciseName": " "}, ["exerciseName"]),
            ({"exerciseName": "x" * 101}, ["exerciseName"]),
            ({"exerciseName": "a\x01b"}, ["exerciseName"]),
            ({"exerciseName": "Bench", "mode": "weight"}, ["mode"]),
            ({"exerciseName": "Bench", "position": 0}, ["position"]),
            ({"exerciseName": "Bench", "position": 101}, ["position"]),
            ({"exerciseName": "Bench", "position": "1"}, ["position"]),
            ({"exerciseName": "Bench", "orderIndex": 1}, ["orderIndex"]),
            ({"exerciseName": 1, "mode": 2, "sets": []}, ["exerciseName", "mode", "sets"]),
        ],
    )
    async def test_a_broken_body_stores_nothing(self, athlete: Actor, body: Any, fields: list[str]) -> None:
        session = await start(athlete)
        answer = await athlete.client.post(f"{SESSIONS}/{session['id']}/exercises", json=body)
        assert broken_fields(answer) == fields
        assert await read(athlete, session) == session

    async def test_a_hundred_is_the_most(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete)
        await connection.execute(
            "INSERT INTO training_session_exercises (training_session_id, exercise_name_snapshot, mode_snapshot, "
            "order_index) SELECT $1, 'Press', 'reps', generate_series(1, 99)",
            session["id"],
        )
        assert (await add_exercise(athlete, session))["orderIndex"] == 100
        answer = await athlete.client.post(f"{SESSIONS}/{session['id']}/exercises", json={"exerciseName": "One more"})
        assert broken_fields(answer) == ["body"]
        assert await connection.fetchval("SELECT count(*) FROM training_session_exercises") == 100

    async def test_another_version_adds_nothing(self, athlete: Actor) -> None:
        session = await start(athlete)
        stale = {"if-match": await etag(athlete, session)}
        await add_exercise(athlete, session)
        path = f"{SESSIONS}/{session['id']}/exercises"
        assert (await athlete.client.post(path, json={"exerciseName": "B"}, headers=stale)).status_code == 412
        assert len((await read(athlete, session))["exercises"]) == 1

    @pytest.mark.parametrize("end", ["complete", "abort"])
    async def test_a_session_that_is_over_can_be_corrected(self, athlete: Actor, end: str) -> None:
        session = await start(athlete)
        await athlete.client.post(f"{SESSIONS}/{session['id']}/{end}")
        exercise = await add_exercise(athlete, session)
        await add_sets(athlete, session, exercise, {"repsCompleted": 5})
        assert len((await read(athlete, session))["exercises"][0]["sets"]) == 1


class TestChange:
    async def test_a_swap_keeps_the_sets_and_takes_the_other_name(self, athlete: Actor, connection: Connection) -> None:
        first, _ = await create_exercise(connection)
        second, name = await create_exercise(connection, athlete, mode="time")
        session = await start(athlete)
        exercise = await add_exercise(athlete, session, exerciseId=str(first))
        sets = await add_sets(athlete, session, exercise, {"repsCompleted": 5})
        answer = await athlete.client.patch(exercise_path(session, exercise), json={"exerciseId": str(second)})
        assert answer.status_code == 200
        assert answer.json() == {**exercise, "exerciseId": str(second), "exerciseName": name, "sets": sets}
        assert answer.headers["etag"] == await etag(athlete, session)

    async def test_null_keeps_the_name_alone(self, athlete: Actor, connection: Connection) -> None:
        exercise_id, name = await create_exercise(connection)
        session = await start(athlete)
        exercise = await add_exercise(athlete, session, exerciseId=str(exercise_id))
        changed = (await athlete.client.patch(exercise_path(session, exercise), json={"exerciseId": None})).json()
        assert (changed["exerciseId"], changed["exerciseName"]) == (None, name)

    async def test_a_name_alone_renames(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session, exerciseName="Bnech")
        answer = await athlete.client.patch(exercise_path(session, exercise), json={"exerciseName": "Bench"})
        assert answer.json() == {**exercise, "exerciseName": "Bench"}

    async def test_the_mode_changes_while_there_are_no_sets(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        path = exercise_path(session, exercise)
        assert (await athlete.client.patch(path, json={"mode": "time"})).json()["mode"] == "time"
        await add_sets(athlete, session, exercise, {"timeSeconds": 30})
        before = await read(athlete, session)
        assert (await athlete.client.patch(path, json={"mode": "reps"})).status_code == 409
        assert (await athlete.client.patch(path, json={"mode": "time"})).status_code == 200
        assert (await read(athlete, session))["exercises"] == before["exercises"]
        assert await connection.fetchval("SELECT mode_snapshot FROM training_session_exercises") == "time"

    async def test_what_is_there_already_may_stay_though_it_is_archived(
        self, athlete: Actor, connection: Connection
    ) -> None:
        exercise_id, _ = await create_exercise(connection, athlete)
        session = await start(athlete)
        exercise = await add_exercise(athlete, session, exerciseId=str(exercise_id))
        await connection.execute("UPDATE exercises SET is_active = false WHERE id = $1", exercise_id)
        sets = await add_sets(athlete, session, exercise, {"repsCompleted": 5})
        body = {**exercise, "sets": sets}
        answer = await athlete.client.patch(exercise_path(session, exercise), json=body)
        assert (answer.status_code, answer.json()) == (200, body)

    async def test_only_exercises_that_one_may_refer_to_come_in(
        self, athlete: Actor, other_athlete: Actor, connection: Connection
    ) -> None:
        foreign, _ = await create_exercise(connection, other_athlete)
        archived, _ = await create_exercise(connection, is_active=False)
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        path = exercise_path(session, exercise)
        assert (await athlete.client.patch(path, json={"exerciseId": str(foreign)})).status_code == 404
        assert broken_fields(await athlete.client.patch(path, json={"exerciseId": str(archived)})) == ["exerciseId"]
        assert (await read(athlete, session))["exercises"] == [exercise]

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"exerciseName": None}, ["exerciseName"]),
            ({"exerciseName": ""}, ["exerciseName"]),
            ({"mode": None}, ["mode"]),
            ({"mode": "laps"}, ["mode"]),
            ({"sets": [{**DONE, "id": 1}]}, ["sets"]),
            ({"sets": None}, ["sets"]),
            ({"position": 1}, ["position"]),
        ],
    )
    async def test_a_broken_body_stores_nothing(self, athlete: Actor, body: Any, fields: list[str]) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        tag = await etag(athlete, session)
        assert broken_fields(await athlete.client.patch(exercise_path(session, exercise), json=body)) == fields
        assert await etag(athlete, session) == tag

    @pytest.mark.parametrize("child_id", ["1", str(2**63 - 1)])
    async def test_an_unknown_child_is_not_found(self, athlete: Actor, child_id: str) -> None:
        session = await start(athlete)
        path = f"{SESSIONS}/{session['id']}/exercises/{child_id}"
        for method in ("PATCH", "DELETE"):
            answer = await athlete.client.request(method, path, json={} if method == "PATCH" else None)
            assert answer.status_code == 404

    @pytest.mark.parametrize("child_id", ["0", "-1", str(2**63), "9" * 30])
    async def test_an_id_that_can_not_be_is_refused(self, athlete: Actor, child_id: str) -> None:
        session = await start(athlete)
        answer = await athlete.client.delete(f"{SESSIONS}/{session['id']}/exercises/{child_id}")
        assert answer.status_code in {404, 422}


class TestRemove:
    async def test_its_sets_go_with_it_and_the_others_move_up(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete)
        exercises = [await add_exercise(athlete, session, exerciseName=name) for name in "abcd"]
        for exercise in exercises:
            await add_sets(athlete, session, exercise, {"repsCompleted": 5})
        answer = await athlete.client.delete(exercise_path(session, exercises[1]))
        assert (answer.status_code, answer.content) == (204, b"")
        left = (await read(athlete, session))["exercises"]
        assert [(e["exerciseName"], e["orderIndex"], len(e["sets"])) for e in left] == [
            ("a", 1, 1),
            ("c", 2, 1),
            ("d", 3, 1),
        ]
        assert [e["id"] for e in left] == [exercises[place]["id"] for place in (0, 2, 3)]
        assert await connection.fetchval("SELECT count(*) FROM training_session_sets") == 3

    async def test_another_version_removes_nothing(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        answer = await athlete.client.delete(exercise_path(session, exercise), headers={"if-match": '"1-owner"'})
        assert answer.status_code == 412
        assert len((await read(athlete, session))["exercises"]) == 1


class TestOrder:
    async def test_the_exercises_take_the_order_of_their_ids(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete)
        exercises = [await add_exercise(athlete, session, exerciseName=name) for name in "abcd"]
        ids = [exercises[place]["id"] for place in (2, 0, 3, 1)]
        answer = await athlete.client.put(f"{SESSIONS}/{session['id']}/exercises/order", json={"ids": ids})
        assert answer.status_code == 200
        assert answer.json() == await read(athlete, session)
        assert answer.headers["etag"] == await etag(athlete, session)
        assert [(e["id"], e["exerciseName"]) for e in answer.json()["exercises"]] == list(zip(ids, "cadb", strict=True))
        rows = await connection.fetch("SELECT id, order_index FROM training_session_exercises ORDER BY order_index")
        assert [tuple(row) for row in rows] == list(zip(ids, [1, 2, 3, 4], strict=True))

    async def test_every_id_once_and_no_other(self, athlete: Actor) -> None:
        session, other = await start(athlete), await start(athlete)
        first, second = [(await add_exercise(athlete, session, exerciseName=name))["id"] for name in "ab"]
        foreign = (await add_exercise(athlete, other))["id"]
        before, tag = await read(athlete, session), await etag(athlete, session)
        path = f"{SESSIONS}/{session['id']}/exercises/order"
        for ids in ([], [first], [first, first], [first, second, second], [first, foreign], [first, second, 2**62]):
            assert broken_fields(await athlete.client.put(path, json={"ids": ids})) == ["ids"]
        bad: list[tuple[Any, str]] = [([first, "2"], "ids[1]"), ([0], "ids[0]"), ([2**63], "ids[0]"), (None, "ids")]
        for ids, field in bad:
            assert broken_fields(await athlete.client.put(path, json={"ids": ids})) == [field]
        assert broken_fields(await athlete.client.put(path, json={})) == ["ids"]
        assert await read(athlete, session) == before
        assert await etag(athlete, session) == tag

    async def test_an_empty_session_has_an_empty_order(self, athlete: Actor) -> None:
        session = await start(athlete)
        answer = await athlete.client.put(f"{SESSIONS}/{session['id']}/exercises/order", json={"ids": []})
        assert (answer.status_code, answer.json()) == (200, session)
