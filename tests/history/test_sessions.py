from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.db.base import uuid7
from tests.actors import Actor, Role
from tests.conftest import MakeActor
from tests.history.workouts import (
    NO_DETAILS,
    SESSIONS,
    Connection,
    add_exercise,
    add_sets,
    broken_fields,
    etag,
    read,
    start,
)

PLANNED = [
    "orderIndex",
    "targetWeight",
    "sets",
    "repsMin",
    "repsMax",
    "targetTimeSeconds",
    "targetDistanceKm",
    "restSeconds",
]
UNPLANNED: dict[str, Any] = {
    "exerciseId": None,
    "plannedUnitExerciseId": None,
    "mode": "reps",
    "orderIndex": 1,
    "supersetGroup": None,
    "planned": dict.fromkeys(PLANNED),
    "sets": [],
}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


class TestStart:
    async def test_an_empty_body_starts_now_in_the_users_zone(self, athlete: Actor, connection: Connection) -> None:
        before = datetime.now(UTC)
        answer = await athlete.client.post(SESSIONS, json={})
        session = answer.json()
        assert answer.status_code == 201
        assert answer.headers["location"] == f"{SESSIONS}/{session['id']}"
        assert answer.headers["etag"] == await etag(athlete, session)
        assert (
            before - timedelta(seconds=1) <= instant(session["startTime"]) <= datetime.now(UTC) + timedelta(seconds=1)
        )
        assert session["startTime"].endswith("Z")
        row = await connection.fetchrow("SELECT * FROM training_sessions")
        assert row is not None
        assert (str(row["id"]), row["user_id"], row["status"]) == (session["id"], athlete.id, "in_progress")
        assert (row["end_time"], row["duration_seconds"], row["version"]) == (None, None, 1)
        assert session["userTimezone"] == row["user_timezone"] == "UTC"

    async def test_the_document_has_every_field(self, athlete: Actor) -> None:
        session = await start(
            athlete, notes="Deload", startTime="2026-03-01T10:00:00+02:00", userTimezone="Europe/Berlin"
        )
        assert session == {
            "id": session["id"],
            "status": "in_progress",
            "trainingPlanId": None,
            "trainingUnitId": None,
            "planUnitId": None,
            "planName": None,
            "unitName": None,
            "dayNumber": None,
            "startTime": "2026-03-01T08:00:00Z",
            "endTime": None,
            "userTimezone": "Europe/Berlin",
            "localDate": "2026-03-01",
            "durationSeconds": None,
            "notes": "Deload",
            "perceivedEffort": None,
            "source": None,
            "externalId": None,
            "clientRevision": None,
            "exercises": [],
            "createdAt": session["createdAt"],
            "updatedAt": session["updatedAt"],
        }

    async def test_the_users_own_time_zone_is_taken_from_the_profile(self, athlete: Actor) -> None:
        await athlete.client.patch("/api/v1/access/me", json={"timezone": "Pacific/Auckland"})
        session = await start(athlete, startTime="2026-03-01T20:00:00Z")
        assert (session["userTimezone"], session["localDate"]) == ("Pacific/Auckland", "2026-03-02")

    async def test_a_time_zone_is_stored_in_its_canonical_spelling(self, athlete: Actor) -> None:
        assert (await start(athlete, userTimezone="europe/berlin"))["userTimezone"] == "Europe/Berlin"

    @pytest.mark.parametrize(
        ("started", "zone", "day"),
        [
            ("2026-03-01T23:30:00Z", "Europe/Berlin", "2026-03-02"),
            ("2026-03-01T02:00:00Z", "America/New_York", "2026-02-28"),
            ("2026-03-01T11:00:00Z", "Pacific/Kiritimati", "2026-03-02"),
            ("2026-03-01T11:30:00Z", "Etc/GMT+12", "2026-02-28"),
        ],
    )
    async def test_the_local_date_is_the_day_of_the_start_there(
        self, athlete: Actor, started: str, zone: str, day: str
    ) -> None:
        assert (await start(athlete, startTime=started, userTimezone=zone))["localDate"] == day

    async def test_an_id_that_is_mine_already_answers_with_what_is_stored(
        self, athlete: Actor, connection: Connection
    ) -> None:
        first = await start(athlete, id=str(uuid7()), notes="first")
        answer = await athlete.client.post(SESSIONS, json={"id": first["id"], "notes": "second"})
        assert (answer.status_code, answer.json()) == (200, first)
        assert answer.headers["etag"] == await etag(athlete, first)
        assert await connection.fetchval("SELECT array_agg(notes) FROM training_sessions") == ["first"]

    async def test_somebody_elses_id_is_not_found(
        self, athlete: Actor, other_athlete: Actor, connection: Connection
    ) -> None:
        theirs = await start(other_athlete, id=str(uuid7()))
        answer = await athlete.client.post(SESSIONS, json={"id": theirs["id"]})
        assert answer.status_code == 404
        assert await connection.fetchval("SELECT array_agg(user_id) FROM training_sessions") == [other_athlete.id]

    async def test_a_deleted_id_is_gone(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete, id=str(uuid7()))
        await athlete.client.delete(f"{SESSIONS}/{session['id']}")
        answer = await athlete.client.post(SESSIONS, json={"id": session["id"]})
        assert answer.status_code == 410
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"id": "0198c1f2-0000-4000-8000-000000000000"}, ["id"]),
            ({"id": "no"}, ["id"]),
            ({"id": 7}, ["id"]),
            ({"userTimezone": "Mars/Olympus"}, ["userTimezone"]),
            ({"userTimezone": "localtime"}, ["userTimezone"]),
            ({"startTime": "2026-03-01T10:00:00"}, ["startTime"]),
            ({"startTime": "1969-12-31T23:59:59Z"}, ["startTime"]),
            ({"startTime": "2099-01-01T00:00:00Z"}, ["startTime"]),
            ({"startTime": "soon"}, ["startTime"]),
            ({"notes": "x" * 10_001}, ["notes"]),
            ({"notes": "a\x00b"}, ["notes"]),
            ({"trainingPlanId": str(uuid7())}, ["body"]),
            ({"planUnitId": 2**31}, ["planUnitId"]),
            ({"status": "completed"}, ["status"]),
            ({"exercises": []}, ["exercises"]),
            ({"id": "no", "notes": 1, "pace": 5}, ["id", "notes", "pace"]),
            ([], ["body"]),
        ],
    )
    async def test_a_broken_body_names_its_fields_and_stores_nothing(
        self, athlete: Actor, connection: Connection, body: Any, fields: list[str]
    ) -> None:
        answer = await athlete.client.post(SESSIONS, json=body)
        assert broken_fields(answer) == fields
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0

    async def test_a_start_may_lie_a_day_ahead(self, athlete: Actor) -> None:
        now = datetime.now(UTC)
        await start(athlete, startTime=(now + timedelta(hours=23, minutes=59)).isoformat())
        late = {"startTime": (now + timedelta(hours=24, minutes=1)).isoformat()}
        assert broken_fields(await athlete.client.post(SESSIONS, json=late)) == ["startTime"]

    @pytest.mark.parametrize(
        "template",
        [
            {"trainingUnitId": str(uuid7())},
            {"planUnitId": 1},
            {"trainingPlanId": str(uuid7()), "trainingUnitId": str(uuid7())},
        ],
    )
    async def test_an_unknown_template_is_not_found(
        self, athlete: Actor, connection: Connection, template: dict[str, Any]
    ) -> None:
        assert (await athlete.client.post(SESSIONS, json=template)).status_code == 404
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0

    async def test_nobody_is_signed_in(self, client: httpx.AsyncClient) -> None:
        assert (await client.post(SESSIONS, json={})).status_code == 401


class TestRead:
    async def test_exercises_and_sets_come_in_their_order(self, athlete: Actor) -> None:
        session = await start(athlete)
        bench = await add_exercise(athlete, session, exerciseName="Bench press")
        plank = await add_exercise(athlete, session, exerciseName="Plank", mode="time")
        benched = await add_sets(
            athlete, session, bench, {"weight": 80.5, "repsCompleted": 8}, {"weight": 80, "repsCompleted": 7}
        )
        planked = await add_sets(athlete, session, plank, {"timeSeconds": 60})
        document = await read(athlete, session)
        assert document["exercises"] == [{**bench, "sets": benched}, {**plank, "sets": planked}]
        assert benched[0] == {
            "id": benched[0]["id"],
            "orderIndex": 1,
            "weight": 80.5,
            "repsCompleted": 8,
            "timeSeconds": None,
            "distanceKm": None,
            **NO_DETAILS,
        }

    async def test_a_known_state_is_not_sent_again(self, athlete: Actor) -> None:
        session = await start(athlete)
        tag = await etag(athlete, session)
        path = f"{SESSIONS}/{session['id']}"
        assert (await athlete.client.get(path, headers={"if-none-match": tag})).status_code == 304
        await add_exercise(athlete, session)
        assert (await athlete.client.get(path, headers={"if-none-match": tag})).status_code == 200

    async def test_a_session_outlives_its_template_and_exercise(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete)
        unit, exercise_id = uuid7(), uuid7()
        await connection.execute(
            "INSERT INTO training_units (id, name, created_by) VALUES ($1, 'Push', $2)", unit, athlete.id
        )
        await connection.execute(
            "UPDATE training_sessions SET training_unit_id = $1, unit_name_snapshot = 'Push' WHERE id = $2",
            unit,
            session["id"],
        )
        await connection.execute(
            "INSERT INTO exercises (id, name, difficulty_level, category, created_by) "
            "VALUES ($1, 'Dips', 'beginner', 'strength', $2)",
            exercise_id,
            athlete.id,
        )
        await add_exercise(athlete, session, exerciseId=str(exercise_id))
        await connection.execute("DELETE FROM training_units")
        await connection.execute("DELETE FROM exercises WHERE id = $1", exercise_id)
        document = await read(athlete, session)
        assert (document["trainingUnitId"], document["unitName"]) == (None, "Push")
        assert [(e["exerciseId"], e["exerciseName"]) for e in document["exercises"]] == [(None, "Dips")]

    @pytest.mark.parametrize("name", ["not-a-uuid", "01a1fcc6-e864-7513-9bf0-f93db06844ed"])
    async def test_what_does_not_exist_is_not_found(self, athlete: Actor, name: str) -> None:
        assert (await athlete.client.get(f"{SESSIONS}/{name}")).status_code == 404


class TestChange:
    async def test_absent_keeps_and_null_clears(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete, notes="heavy", startTime="2026-03-01T10:00:00Z")
        path = f"{SESSIONS}/{session['id']}"
        answer = await athlete.client.patch(path, json={"startTime": "2026-03-01T11:00:00Z"})
        changed = answer.json()
        assert answer.status_code == 200
        assert (changed["notes"], changed["startTime"]) == ("heavy", "2026-03-01T11:00:00Z")
        assert answer.headers["etag"] == await etag(athlete, session)
        assert (await athlete.client.patch(path, json={"notes": None})).json()["notes"] is None
        assert await connection.fetchval("SELECT version FROM training_sessions") == 3

    async def test_another_time_zone_moves_the_local_date(self, athlete: Actor) -> None:
        session = await start(athlete, startTime="2026-03-01T22:00:00Z")
        answer = await athlete.client.patch(f"{SESSIONS}/{session['id']}", json={"userTimezone": "asia/tokyo"})
        assert (answer.json()["userTimezone"], answer.json()["localDate"]) == ("Asia/Tokyo", "2026-03-02")

    async def test_the_duration_follows_the_times_of_a_completed_session(
        self, athlete: Actor, connection: Connection
    ) -> None:
        session = await start(athlete, startTime="2026-03-01T10:00:00Z")
        path = f"{SESSIONS}/{session['id']}"
        await athlete.client.post(f"{path}/complete", json={"endTime": "2026-03-01T11:00:00Z"})
        changed = (await athlete.client.patch(path, json={"startTime": "2026-03-01T09:30:00Z"})).json()
        assert changed["durationSeconds"] == 5400
        changed = (await athlete.client.patch(path, json={"endTime": "2026-03-01T10:00:00.9Z"})).json()
        assert changed["durationSeconds"] == await connection.fetchval("SELECT duration_seconds FROM training_sessions")
        assert changed["status"] == "completed"

    async def test_an_aborted_session_keeps_an_end_and_has_no_duration(self, athlete: Actor) -> None:
        session = await start(athlete, startTime="2026-03-01T10:00:00Z")
        path = f"{SESSIONS}/{session['id']}"
        await athlete.client.post(f"{path}/abort")
        changed = (await athlete.client.patch(path, json={"endTime": "2026-03-01T10:20:00Z"})).json()
        assert (changed["endTime"], changed["durationSeconds"]) == ("2026-03-01T10:20:00Z", None)
        assert broken_fields(await athlete.client.patch(path, json={"endTime": None})) == ["endTime"]

    async def test_what_a_get_answered_may_be_sent_back(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        await add_sets(athlete, session, exercise, {"weight": 80.5, "repsCompleted": 5}, {"weight": 80})
        body = await read(athlete, session)
        answer = await athlete.client.patch(f"{SESSIONS}/{session['id']}", json={**body, "status": "completed"})
        assert answer.status_code == 200
        assert answer.json() == {**body, "updatedAt": answer.json()["updatedAt"]}
        body["exercises"][0]["sets"].pop()
        assert broken_fields(await athlete.client.patch(f"{SESSIONS}/{session['id']}", json=body)) == ["exercises"]

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"startTime": None}, ["startTime"]),
            ({"startTime": "2099-01-01T00:00:00Z"}, ["startTime"]),
            ({"userTimezone": None}, ["userTimezone"]),
            ({"userTimezone": "Nowhere"}, ["userTimezone"]),
            ({"endTime": "2026-03-01T11:00:00Z"}, ["endTime"]),
            ({"notes": 5, "pace": 1}, ["notes", "pace"]),
            ({"exercises": None}, ["exercises"]),
            ({"notes": "new", "exercises": [{**UNPLANNED, "id": 1, "exerciseName": "Rows"}]}, ["exercises"]),
        ],
    )
    async def test_a_broken_change_of_a_session_in_progress_stores_nothing(
        self, athlete: Actor, body: Any, fields: list[str]
    ) -> None:
        session = await start(athlete, notes="kept", startTime="2026-03-01T10:00:00Z")
        tag = await etag(athlete, session)
        assert broken_fields(await athlete.client.patch(f"{SESSIONS}/{session['id']}", json=body)) == fields
        assert await read(athlete, session) == session
        assert await etag(athlete, session) == tag

    @pytest.mark.parametrize(
        "body",
        [
            {"endTime": None},
            {"endTime": "2026-03-01T09:59:59Z"},
            {"startTime": "2026-03-01T11:00:01Z"},
            {"startTime": "1970-01-02T00:00:00Z", "endTime": "2099-12-31T00:00:00Z"},
        ],
    )
    async def test_times_of_a_completed_session_must_fit(self, athlete: Actor, body: dict[str, Any]) -> None:
        session = await start(athlete, startTime="2026-03-01T10:00:00Z")
        path = f"{SESSIONS}/{session['id']}"
        completed = (await athlete.client.post(f"{path}/complete", json={"endTime": "2026-03-01T11:00:00Z"})).json()
        assert broken_fields(await athlete.client.patch(path, json=body)) == ["endTime"]
        assert await read(athlete, session) == completed

    async def test_another_version_changes_nothing(self, athlete: Actor) -> None:
        session = await start(athlete, notes="first")
        path, tag = f"{SESSIONS}/{session['id']}", await etag(athlete, session)
        assert (await athlete.client.patch(path, json={"notes": "2"}, headers={"if-match": tag})).status_code == 200
        assert (await athlete.client.patch(path, json={"notes": "3"}, headers={"if-match": tag})).status_code == 412
        assert (await read(athlete, session))["notes"] == "2"


class TestEnd:
    async def test_completing_now_measures_real_time(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete, startTime=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
        answer = await athlete.client.post(f"{SESSIONS}/{session['id']}/complete")
        completed = answer.json()
        assert (answer.status_code, completed["status"]) == (200, "completed")
        assert 3600 <= completed["durationSeconds"] <= 3610
        assert answer.headers["etag"] == await etag(athlete, session)
        row = await connection.fetchrow("SELECT status, duration_seconds, version FROM training_sessions")
        assert row == ("completed", completed["durationSeconds"], 2)

    @pytest.mark.parametrize(
        ("started", "ended", "seconds"),
        [
            ("2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00", 3600),
            ("2026-10-25T01:30:00+02:00", "2026-10-25T03:30:00+01:00", 3 * 3600),
            ("2026-06-01T23:30:00+02:00", "2026-06-02T00:45:00+02:00", 75 * 60),
            ("2026-06-01T10:00:00Z", "2026-06-01T10:00:00Z", 0),
        ],
    )
    async def test_clock_changes_and_midnight_do_not_count(
        self, athlete: Actor, started: str, ended: str, seconds: int
    ) -> None:
        session = await start(athlete, startTime=started, userTimezone="Europe/Berlin")
        answer = await athlete.client.post(f"{SESSIONS}/{session['id']}/complete", json={"endTime": ended})
        assert answer.json()["durationSeconds"] == seconds
        assert answer.json()["localDate"] == started[:10]

    async def test_aborting_keeps_the_end_and_no_duration(self, athlete: Actor) -> None:
        session = await start(athlete)
        answer = await athlete.client.post(f"{SESSIONS}/{session['id']}/abort")
        aborted = answer.json()
        assert (answer.status_code, aborted["status"], aborted["durationSeconds"]) == (200, "aborted", None)
        assert instant(aborted["endTime"]) >= instant(session["startTime"])

    async def test_a_session_that_lies_ahead_can_be_aborted_and_not_completed(self, athlete: Actor) -> None:
        session = await start(athlete, startTime=(datetime.now(UTC) + timedelta(hours=2)).isoformat())
        path = f"{SESSIONS}/{session['id']}"
        assert broken_fields(await athlete.client.post(f"{path}/complete")) == ["endTime"]
        assert (await athlete.client.post(f"{path}/abort")).json()["endTime"] == session["startTime"]

    @pytest.mark.parametrize("first", ["complete", "abort"])
    @pytest.mark.parametrize("second", ["complete", "abort"])
    async def test_only_what_is_in_progress_ends(self, athlete: Actor, first: str, second: str) -> None:
        session = await start(athlete)
        path = f"{SESSIONS}/{session['id']}"
        ended = (await athlete.client.post(f"{path}/{first}")).json()
        assert (await athlete.client.post(f"{path}/{second}")).status_code == 409
        assert await read(athlete, session) == ended

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"endTime": "2026-02-01T00:00:00Z"}, ["endTime"]),
            ({"endTime": "2026-03-01"}, ["endTime"]),
            ({"endTime": "2101-01-01T00:00:00Z"}, ["endTime"]),
            ({"end": None}, ["end"]),
        ],
    )
    async def test_a_bad_end_completes_nothing(self, athlete: Actor, body: Any, fields: list[str]) -> None:
        session = await start(athlete, startTime="2026-03-01T10:00:00Z")
        answer = await athlete.client.post(f"{SESSIONS}/{session['id']}/complete", json=body)
        assert broken_fields(answer) == fields
        assert await read(athlete, session) == session

    async def test_another_version_ends_nothing(self, athlete: Actor) -> None:
        session = await start(athlete)
        for step in ("complete", "abort"):
            answer = await athlete.client.post(f"{SESSIONS}/{session['id']}/{step}", headers={"if-match": '"0"'})
            assert answer.status_code == 412
        assert await read(athlete, session) == session


class TestDelete:
    async def test_everything_of_it_goes_and_a_tombstone_stays(self, athlete: Actor, connection: Connection) -> None:
        session, kept = await start(athlete), await start(athlete)
        for each in (session, kept):
            exercise = await add_exercise(athlete, each)
            await add_sets(athlete, each, exercise, {"repsCompleted": 5})
        answer = await athlete.client.delete(f"{SESSIONS}/{session['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        for table in ("training_sessions", "training_session_exercises", "training_session_sets"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 1
        stones = await connection.fetch("SELECT user_id, kind, id FROM tombstone")
        assert [(row["user_id"], row["kind"], str(row["id"])) for row in stones] == [
            (athlete.id, "training_session", session["id"])
        ]
        assert (await athlete.client.get(f"{SESSIONS}/{session['id']}")).status_code == 404
        assert (await athlete.client.delete(f"{SESSIONS}/{session['id']}")).status_code == 404

    async def test_another_version_deletes_nothing(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete)
        answer = await athlete.client.delete(f"{SESSIONS}/{session['id']}", headers={"if-match": '"7-owner"'})
        assert answer.status_code == 412
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 1
        assert await connection.fetchval("SELECT count(*) FROM tombstone") == 0


class TestOwnership:
    @pytest.mark.parametrize("role", ["application-access", "fitness-trainer", "superuser"])
    async def test_nobody_else_sees_or_changes_anything(
        self, athlete: Actor, role: Role, make_actor: MakeActor, connection: Connection
    ) -> None:
        other = await make_actor(role)
        session = await start(athlete, notes="mine")
        exercise = await add_exercise(athlete, session)
        [done] = await add_sets(athlete, session, exercise, {"repsCompleted": 5})
        theirs = await start(other)
        before, missing = await read(athlete, session), str(uuid7())

        for method, rest, body in _every_route(exercise["id"], done["id"]):
            hidden = await other.client.request(method, f"{SESSIONS}/{session['id']}{rest}", json=body)
            nothing = await other.client.request(method, f"{SESSIONS}/{missing}{rest}", json=body)
            assert hidden.status_code == nothing.status_code == 404, (method, rest)
            assert _without_ids(hidden, session["id"]) == _without_ids(nothing, missing)
            # Nor does a session of one's own lead to somebody else's children.
            if rest.startswith("/exercises/") and "order" not in rest:
                crossed = await other.client.request(method, f"{SESSIONS}/{theirs['id']}{rest}", json=body)
                assert _without_ids(crossed, theirs["id"]) == _without_ids(nothing, missing)
        assert await read(athlete, session) == before
        listed = (await other.client.get(SESSIONS)).json()["items"]
        assert [item["id"] for item in listed] == [theirs["id"]]
        assert await connection.fetchval("SELECT count(*) FROM tombstone") == 0

    async def test_a_token_that_only_reads_changes_nothing(
        self, athlete: Actor, client: httpx.AsyncClient, connection: Connection
    ) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        [done] = await add_sets(athlete, session, exercise, {"repsCompleted": 5})
        before = await read(athlete, session)
        expiry = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        body = {"name": "watch", "scopes": ["read"], "expiresAt": expiry}
        made = (await athlete.client.post("/api/v1/access/tokens", json=body)).json()
        client.headers["authorization"] = f"Bearer {made['token']}"
        for method, rest, sent in _every_route(exercise["id"], done["id"]):
            answer = await client.request(method, f"{SESSIONS}/{session['id']}{rest}", json=sent)
            assert answer.status_code == (200 if method == "GET" else 403), (method, rest)
        assert (await client.post(SESSIONS, json={})).status_code == 403
        assert (await client.get(SESSIONS)).json()["items"] == [before]
        assert await read(athlete, session) == before

    async def test_children_of_another_session_of_mine_are_not_found(self, athlete: Actor) -> None:
        first, second = await start(athlete), await start(athlete)
        exercise = await add_exercise(athlete, first)
        other = await add_exercise(athlete, first)
        [done] = await add_sets(athlete, first, exercise, {"repsCompleted": 5})
        before = await read(athlete, first)
        for path in (
            f"{second['id']}/exercises/{exercise['id']}",
            f"{second['id']}/exercises/{exercise['id']}/sets/{done['id']}",
            f"{first['id']}/exercises/{other['id']}/sets/{done['id']}",
        ):
            assert (await athlete.client.delete(f"{SESSIONS}/{path}")).status_code == 404
            assert (await athlete.client.patch(f"{SESSIONS}/{path}", json={})).status_code == 404
        assert await read(athlete, first) == before


def _every_route(exercise_id: int, set_id: int) -> list[tuple[str, str, Any]]:
    child = f"/exercises/{exercise_id}"
    return [
        ("GET", "", None),
        ("PATCH", "", {"notes": "theirs"}),
        ("DELETE", "", None),
        ("POST", "/complete", {}),
        ("POST", "/abort", None),
        ("POST", "/exercises", {"exerciseName": "Rows"}),
        ("PUT", "/exercises/order", {"ids": [exercise_id]}),
        ("PATCH", child, {"exerciseName": "Rows"}),
        ("DELETE", child, None),
        ("POST", f"{child}/sets", {"repsCompleted": 1}),
        ("POST", f"{child}/sets", [{"repsCompleted": 1}]),
        ("PUT", f"{child}/sets/order", {"ids": [set_id]}),
        ("PATCH", f"{child}/sets/{set_id}", {"repsCompleted": 1}),
        ("DELETE", f"{child}/sets/{set_id}", None),
    ]


def _without_ids(answer: httpx.Response, session_id: str) -> str:
    request_id = answer.headers["x-request-id"]
    return answer.text.replace(session_id, "…").replace(request_id, "…")
