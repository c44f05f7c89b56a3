"""What was done the last time."""

from typing import Any

from app.db.base import uuid7
from tests.actors import Actor
from tests.answers import problem
from tests.history.workouts import SESSIONS, Connection, add_exercise, add_sets, create_exercise, start

_MANY_SESSIONS = """
WITH made AS (
    INSERT INTO training_sessions (id, user_id, user_timezone, start_time)
    SELECT gen_random_uuid(), $1, 'UTC', timestamptz '2026-03-03 10:00Z' + number * interval '1 hour'
    FROM generate_series(1, 120) AS number
    RETURNING id
), trained AS (
    INSERT INTO training_session_exercises
        (training_session_id, exercise_name_snapshot, mode_snapshot, order_index)
    SELECT id, 'Rows', 'reps', 1 FROM made
    RETURNING id
)
INSERT INTO training_session_sets (session_exercise_id, mode, order_index, reps_completed)
SELECT id, 'reps', 1, 10 FROM trained
"""


async def do(actor: Actor, day: int, *exercises: tuple[dict[str, Any], list[dict[str, Any]]]) -> dict[str, Any]:
    """A session of a day in March, and its exercises with their sets."""
    session = await start(actor, startTime=f"2026-03-{day:02}T10:00:00Z")
    for body, sets in exercises:
        exercise = await add_exercise(actor, session, **body)
        if sets:
            await add_sets(actor, session, exercise, *sets)
    return session


async def previous(actor: Actor, session: dict[str, Any]) -> list[tuple[str | None, list[int]]]:
    """For each exercise: the day of the last time, and the repetitions."""
    answer = await actor.client.get(f"{SESSIONS}/{session['id']}/previous")
    assert answer.status_code == 200, answer.text
    return [
        (found["localDate"], [item["repsCompleted"] for item in found["sets"]])
        if (found := exercise["previous"])
        else (None, [])
        for exercise in answer.json()
    ]


def reps(*counts: int) -> list[dict[str, Any]]:
    return [{"repsCompleted": count} for count in counts]


class TestPrevious:
    async def test_tells_the_last_sets_of_each_exercise(self, athlete: Actor, connection: Connection) -> None:
        squat, press, new = [{"exerciseId": str((await create_exercise(connection))[0])} for _ in range(3)]
        await do(athlete, 1, (squat, reps(1, 2)), (press, reps(3)))
        second = await do(athlete, 2, (squat, [{"repsCompleted": 8, "weight": 80.5, "setType": "warm_up"}]))
        session = await do(athlete, 3, (press, []), (new, reps(9)), (squat, reps(7)))
        assert await previous(athlete, session) == [("2026-03-01", [3]), (None, []), ("2026-03-02", [8])]
        answer = (await athlete.client.get(f"{SESSIONS}/{session['id']}/previous")).json()
        stored = (await athlete.client.get(f"{SESSIONS}/{second['id']}")).json()
        current = (await athlete.client.get(f"{SESSIONS}/{session['id']}")).json()
        assert answer[2] == {
            "id": current["exercises"][2]["id"],
            "exerciseId": squat["exerciseId"],
            "exerciseName": current["exercises"][2]["exerciseName"],
            "previous": {
                "sessionId": second["id"],
                "startTime": "2026-03-02T10:00:00Z",
                "localDate": "2026-03-02",
                "sets": stored["exercises"][0]["sets"],
            },
        }

    async def test_looks_back_from_the_session_and_not_from_today(self, athlete: Actor, connection: Connection) -> None:
        squat = {"exerciseId": str((await create_exercise(connection))[0])}
        sessions = [await do(athlete, day, (squat, reps(day))) for day in (3, 1, 2)]
        assert [await previous(athlete, session) for session in sessions] == [
            [("2026-03-02", [2])],
            [(None, [])],
            [("2026-03-01", [1])],
        ]

    async def test_passes_over_sessions_without_a_set_of_it(self, athlete: Actor, connection: Connection) -> None:
        squat = {"exerciseId": str((await create_exercise(connection))[0])}
        await do(athlete, 1, (squat, reps(5)))
        await do(athlete, 2, (squat, []))
        assert await previous(athlete, await do(athlete, 3, (squat, []))) == [("2026-03-01", [5])]

    async def test_an_exercise_that_was_done_twice_gives_the_sets_of_both(self, athlete: Actor) -> None:
        rows = {"exerciseName": "Rows"}
        await do(athlete, 1, (rows, reps(5, 4)), ({"exerciseName": "Curls"}, reps(9)), (rows, reps(3)))
        assert await previous(athlete, await do(athlete, 2, (rows, []))) == [("2026-03-01", [5, 4, 3])]

    async def test_a_name_alone_is_known_by_its_name(self, athlete: Actor, connection: Connection) -> None:
        exercise_id, name = await create_exercise(connection)
        await do(athlete, 1, ({"exerciseName": "ROWS"}, reps(5)), ({"exerciseId": str(exercise_id)}, reps(6)))
        session = await do(athlete, 2, ({"exerciseName": "Rows"}, []), ({"exerciseName": name}, []))
        assert await previous(athlete, session) == [("2026-03-01", [5]), (None, [])]

    async def test_an_exercise_keeps_its_past_under_other_names(self, athlete: Actor, connection: Connection) -> None:
        exercise_id, _ = await create_exercise(connection, athlete)
        await do(athlete, 1, ({"exerciseId": str(exercise_id)}, reps(5)))
        await connection.execute("UPDATE exercises SET name = 'Other' WHERE id = $1", exercise_id)
        session = await do(athlete, 2, ({"exerciseId": str(exercise_id)}, []))
        await connection.execute("UPDATE exercises SET is_active = false WHERE id = $1", exercise_id)
        assert await previous(athlete, session) == [("2026-03-01", [5])]

    async def test_is_my_own_past_alone(self, athlete: Actor, other_athlete: Actor, connection: Connection) -> None:
        squat = {"exerciseId": str((await create_exercise(connection))[0])}
        theirs = await do(other_athlete, 1, (squat, reps(5)))
        assert await previous(athlete, await do(athlete, 2, (squat, []))) == [(None, [])]
        for key in (theirs["id"], str(uuid7())):
            problem(await athlete.client.get(f"{SESSIONS}/{key}/previous"), 404)

    async def test_is_found_however_many_sessions_ago(
        self, athlete: Actor, other_athlete: Actor, connection: Connection
    ) -> None:
        squat, press = [{"exerciseId": str((await create_exercise(connection))[0])} for _ in range(2)]
        curls: dict[str, Any] = {"exerciseName": "Curls"}
        await do(athlete, 1, (squat, reps(1)), ({"exerciseName": "CURLS"}, reps(2)))
        await do(athlete, 2, (squat, reps(3)), (curls, []))
        await connection.execute(_MANY_SESSIONS, athlete.id)
        await do(other_athlete, 4, (squat, reps(4)), (curls, reps(5)), (press, reps(6)))
        session = await do(athlete, 20, (squat, []), (curls, []), (press, []))
        assert await previous(athlete, session) == [("2026-03-02", [3]), ("2026-03-01", [2]), (None, [])]

    async def test_an_empty_session_has_nothing_to_tell(self, athlete: Actor) -> None:
        await do(athlete, 1, ({}, reps(5)))
        assert await previous(athlete, await start(athlete)) == []
