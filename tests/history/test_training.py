"""A workout as it is lived: changed on the way, past midnight, and when the clocks change."""

import pytest

from tests.actors import Actor
from tests.history.workouts import (
    SESSIONS,
    Connection,
    add_exercise,
    add_sets,
    create_exercise,
    exercise_path,
    read,
    start,
)
from tests.training.templates import exercise, make_unit


class TestOnTheWay:
    """The plan of a session is followed, or not."""

    async def test_exercises_are_swapped_skipped_added_reordered_and_removed(
        self, athlete: Actor, connection: Connection
    ) -> None:
        unit = await make_unit(athlete, *[exercise(name) for name in ("Squat", "Bench press", "Rows", "Curls")])
        session = await start(athlete, trainingUnitId=unit["id"])
        squat, bench, rows, curls = session["exercises"]
        await add_sets(athlete, session, squat, {"repsCompleted": 5})
        press, name = await create_exercise(connection)
        swapped = await athlete.client.patch(exercise_path(session, bench), json={"exerciseId": str(press)})
        # The plan stays beside what was done instead.
        assert swapped.json() == {**bench, "exerciseId": str(press), "exerciseName": name}
        dips = await add_exercise(athlete, session, exerciseName="Dips", position=2)
        assert (await athlete.client.delete(exercise_path(session, curls))).status_code == 204
        order = [rows["id"], squat["id"], dips["id"], bench["id"]]
        path = f"{SESSIONS}/{session['id']}"
        assert (await athlete.client.put(f"{path}/exercises/order", json={"ids": order})).status_code == 200
        done = (await athlete.client.post(f"{path}/complete")).json()
        assert [
            (e["exerciseName"], e["orderIndex"], e["planned"]["orderIndex"], len(e["sets"])) for e in done["exercises"]
        ] == [
            ("Rows", 1, 3, 0),
            ("Squat", 2, 1, 1),
            ("Dips", 3, None, 0),
            (name, 4, 2, 0),
        ]
        assert done["exercises"][2]["plannedUnitExerciseId"] is None
        assert await read(athlete, done) == done


class TestTime:
    """Durations are real time; the local date is the day of the start in the session's zone."""

    @pytest.mark.parametrize(
        ("zone", "start_time", "end_time", "day", "seconds"),
        [
            ("Europe/Berlin", "2026-06-01T21:30:00Z", "2026-06-01T22:45:00Z", "2026-06-01", 4500),
            ("Europe/Berlin", "2026-06-01T22:30:00Z", "2026-06-01T23:00:00Z", "2026-06-02", 1800),
            # Clocks go from 2 to 3 on 29 March, and from 3 back to 2 on 25 October.
            ("Europe/Berlin", "2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00", "2026-03-29", 3600),
            ("Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25", 3600),
            ("Europe/Berlin", "2026-03-28T23:30:00+01:00", "2026-03-29T03:30:00+02:00", "2026-03-28", 10800),
            ("America/New_York", "2026-10-31T23:30:00-04:00", "2026-11-01T01:30:00-05:00", "2026-10-31", 10800),
            ("Pacific/Apia", "2011-12-29T23:30:00-10:00", "2011-12-31T00:30:00+14:00", "2011-12-29", 3600),
        ],
    )
    async def test_over_midnight_and_changes_of_the_clock(
        self, athlete: Actor, zone: str, start_time: str, end_time: str, day: str, seconds: int
    ) -> None:
        session = await start(athlete, startTime=start_time, userTimezone=zone)
        path = f"{SESSIONS}/{session['id']}"
        done = (await athlete.client.post(f"{path}/complete", json={"endTime": end_time})).json()
        assert (done["localDate"], done["durationSeconds"]) == (day, seconds)
        whole = {"status": "completed", "startTime": start_time, "endTime": end_time, "userTimezone": zone}
        replaced = (await athlete.client.put(path, json=whole)).json()
        assert (replaced["localDate"], replaced["durationSeconds"]) == (day, seconds)
