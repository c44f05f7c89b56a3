"""What may be said of sets, supersets and sessions beyond their results."""

from typing import Any

import pytest

from app.db.base import uuid7
from tests.actors import Actor
from tests.answers import problem
from tests.history.workouts import (
    SESSIONS,
    Connection,
    add_exercise,
    add_sets,
    broken_fields,
    etag,
    exercise_path,
    read,
    sets_path,
    start,
)

DETAILS = {
    "setType": "warm_up",
    "rpe": 8.5,
    "restSeconds": 90,
    "completedAt": "2026-03-01T10:12:00Z",
    "note": "Belt on\nslow",
}
BAD_DETAILS: list[tuple[dict[str, Any], list[str]]] = [
    ({"setType": "warmup"}, ["setType"]),
    ({"rpe": 0.5}, ["rpe"]),
    ({"rpe": 10.5}, ["rpe"]),
    ({"rpe": 8.3}, ["rpe"]),
    ({"rpe": "8"}, ["rpe"]),
    ({"restSeconds": -1}, ["restSeconds"]),
    ({"restSeconds": 32768}, ["restSeconds"]),
    ({"completedAt": "2026-03-01T10:12:00"}, ["completedAt"]),
    ({"completedAt": "2101-01-01T00:00:00Z"}, ["completedAt"]),
    ({"note": "x" * 10_001}, ["note"]),
    ({"note": "a\x00"}, ["note"]),
    ({"setType": 1, "rpe": 11, "note": 5}, ["setType", "rpe", "note"]),
]


class TestSets:
    async def test_details_are_kept_and_told(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        [bare, detailed] = await add_sets(athlete, session, exercise, {}, {"repsCompleted": 5, **DETAILS})
        assert DETAILS.items() <= detailed.items()
        assert (await read(athlete, session))["exercises"][0]["sets"] == [bare, detailed]
        row = await connection.fetchrow(
            "SELECT set_type, rpe::float8, rest_seconds, note FROM training_session_sets WHERE id = $1", detailed["id"]
        )
        assert tuple(row or ()) == ("warm_up", 8.5, 90, "Belt on\nslow")

    async def test_they_are_changed_one_by_one_and_cleared(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        [done] = await add_sets(athlete, session, exercise, {"repsCompleted": 5, **DETAILS})
        path = f"{sets_path(session, exercise)}/{done['id']}"
        for name, value in {**DETAILS, "setType": "failure", "rpe": 10}.items():
            assert (await athlete.client.patch(path, json={name: None})).json() == {**done, name: None}
            done[name] = value
            assert (await athlete.client.patch(path, json={name: value})).json() == done
        assert (await athlete.client.patch(path, json=done)).json() == done

    @pytest.mark.parametrize(("sent", "stored"), [(1, 1), (10, 10), (7.5, 7.5), (7.54, 7.5), (9.96, 10)])
    async def test_exertion_goes_in_halves(self, athlete: Actor, sent: float, stored: float) -> None:
        session = await start(athlete)
        [done] = await add_sets(athlete, session, await add_exercise(athlete, session), {"rpe": sent})
        assert done["rpe"] == stored

    @pytest.mark.parametrize(("body", "fields"), BAD_DETAILS)
    async def test_a_broken_body_stores_nothing(self, athlete: Actor, body: Any, fields: list[str]) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        [done] = await add_sets(athlete, session, exercise, DETAILS)
        before, path = await read(athlete, session), sets_path(session, exercise)
        assert broken_fields(await athlete.client.post(path, json=body)) == fields
        assert broken_fields(await athlete.client.patch(f"{path}/{done['id']}", json=body)) == fields
        assert await read(athlete, session) == before


class TestSupersets:
    async def test_exercises_are_put_together_and_apart(self, athlete: Actor) -> None:
        session = await start(athlete)
        first = await add_exercise(athlete, session, supersetGroup=1)
        second = await add_exercise(athlete, session, exerciseName="Rows")
        assert (first["supersetGroup"], second["supersetGroup"]) == (1, None)
        answer = await athlete.client.patch(exercise_path(session, second), json={"supersetGroup": 1})
        assert answer.json() == {**second, "supersetGroup": 1}
        renamed = await athlete.client.patch(exercise_path(session, second), json={"exerciseName": "Row"})
        assert renamed.json()["supersetGroup"] == 1
        answer = await athlete.client.patch(exercise_path(session, first), json={"supersetGroup": None})
        assert answer.json()["supersetGroup"] is None
        assert [e["supersetGroup"] for e in (await read(athlete, session))["exercises"]] == [None, 1]

    @pytest.mark.parametrize("group", [0, 101, "1", 1.5])
    async def test_a_broken_group_stores_nothing(self, athlete: Actor, group: Any) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        before, body = await read(athlete, session), {"exerciseName": "Rows", "supersetGroup": group}
        for method, path in (
            ("POST", f"{SESSIONS}/{session['id']}/exercises"),
            ("PATCH", exercise_path(session, exercise)),
        ):
            assert broken_fields(await athlete.client.request(method, path, json=body)) == ["supersetGroup"]
        assert await read(athlete, session) == before


class TestSessions:
    async def test_effort_and_origin_are_kept_changed_and_cleared(self, athlete: Actor) -> None:
        origin = {"perceivedEffort": 7.5, "source": "strong", "externalId": "2026-03-01 #1"}
        session = await start(athlete, **origin)
        assert origin.items() <= session.items()
        path = f"{SESSIONS}/{session['id']}"
        changed = (await athlete.client.patch(path, json={"perceivedEffort": 8})).json()
        assert changed == {**session, "perceivedEffort": 8, "updatedAt": changed["updatedAt"]}
        changed = (await athlete.client.patch(path, json={"externalId": None, "source": None})).json()
        assert (changed["source"], changed["externalId"], changed["perceivedEffort"]) == (None, None, 8)
        assert await read(athlete, session) == changed

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"perceivedEffort": 0.9}, ["perceivedEffort"]),
            ({"perceivedEffort": 10.1}, ["perceivedEffort"]),
            ({"source": "x" * 51}, ["source"]),
            ({"source": " "}, ["source"]),
            ({"source": "fit", "externalId": "x" * 256}, ["externalId"]),
            ({"externalId": "7"}, ["source"]),
        ],
    )
    async def test_a_broken_body_stores_nothing(
        self, athlete: Actor, connection: Connection, body: Any, fields: list[str]
    ) -> None:
        assert broken_fields(await athlete.client.post(SESSIONS, json=body)) == fields
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0
        session = await start(athlete)
        tag = await etag(athlete, session)
        assert broken_fields(await athlete.client.patch(f"{SESSIONS}/{session['id']}", json=body)) == fields
        assert await etag(athlete, session) == tag

    async def test_nobody_has_one_external_session_twice(
        self, athlete: Actor, other_athlete: Actor, connection: Connection
    ) -> None:
        origin = {"source": "strong", "externalId": "1"}
        first = await start(athlete, id=str(uuid7()), **origin)
        refused = problem(await athlete.client.post(SESSIONS, json=origin), 409)
        assert "externalId" in refused["detail"]
        again = await athlete.client.post(SESSIONS, json={"id": first["id"], **origin})
        assert (again.status_code, again.json()) == (200, first)
        second = await start(athlete, source="strong", externalId="2")
        await start(other_athlete, **origin)
        problem(await athlete.client.patch(f"{SESSIONS}/{second['id']}", json={"externalId": "1"}), 409)
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 3
