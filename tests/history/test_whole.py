"""Whole sessions, as clients that work offline send them."""

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.base import uuid7
from tests.actors import Actor
from tests.answers import problem
from tests.history.workouts import (
    NO_DETAILS,
    SESSIONS,
    Connection,
    add_exercise,
    add_sets,
    broken_fields,
    create_exercise,
    etag,
    read,
    sets_path,
    start,
)
from tests.training.templates import PLANS, exercise, make_plan, make_unit, share

DONE = {"repsCompleted": 8, "weight": 80.5, "setType": "working", "rpe": 8, "completedAt": "2026-03-01T10:05:00Z"}
WHOLE: dict[str, Any] = {
    "status": "completed",
    "startTime": "2026-03-01T10:00:00Z",
    "endTime": "2026-03-01T11:00:00Z",
    "userTimezone": "Europe/Berlin",
    "notes": "In the cellar",
    "perceivedEffort": 7,
    "clientRevision": 3,
    "exercises": [
        {"exerciseName": "Bench press", "supersetGroup": 1, "sets": [DONE, {"repsCompleted": 6}]},
        {"exerciseName": "Plank", "mode": "time", "supersetGroup": 1, "sets": [{"timeSeconds": 60}]},
    ],
}


def path_of(session: Any) -> str:
    return f"{SESSIONS}/{session['id'] if isinstance(session, dict) else session}"


async def put(actor: Actor, session: Any, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = await actor.client.put(path_of(session), json=body)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def rows(connection: Connection) -> list[Any]:
    """Every row of every session, but for what the database notes down itself."""
    tables = {
        "training_sessions": "id",
        "training_session_exercises": "id",
        "training_session_sets": "id",
        "tombstone": "id",
    }
    return [await connection.fetch(f"SELECT * FROM {table} ORDER BY {key}") for table, key in tables.items()]


class TestMake:
    async def test_a_new_id_makes_the_session_with_all_that_was_sent(
        self, athlete: Actor, connection: Connection
    ) -> None:
        key = str(uuid7())
        answer = await athlete.client.put(path_of(key), json=WHOLE)
        made = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (201, path_of(key))
        assert answer.headers["etag"] == await etag(athlete, made)
        assert made == await read(athlete, made)
        scalars = WHOLE.keys() - {"exercises"}
        assert {name: made[name] for name in scalars} == {name: WHOLE[name] for name in scalars}
        assert (made["id"], made["durationSeconds"], made["localDate"]) == (key, 3600, "2026-03-01")
        bench, plank = made["exercises"]
        assert (bench["exerciseName"], bench["mode"], bench["orderIndex"]) == ("Bench press", "reps", 1)
        assert (plank["exerciseName"], plank["mode"], plank["orderIndex"]) == ("Plank", "time", 2)
        assert DONE.items() <= bench["sets"][0].items()
        assert [item["orderIndex"] for item in bench["sets"]] == [1, 2]
        assert plank["sets"] == [
            {
                **NO_DETAILS,
                "id": plank["sets"][0]["id"],
                "orderIndex": 1,
                "weight": None,
                "repsCompleted": None,
                "timeSeconds": 60,
                "distanceKm": None,
            }
        ]
        assert await connection.fetchval("SELECT user_id FROM training_sessions") == athlete.id

    async def test_an_empty_body_makes_a_session_in_progress(self, athlete: Actor) -> None:
        await athlete.client.patch("/api/v1/access/me", json={"timezone": "Pacific/Auckland"})
        made = await put(athlete, str(uuid7()), {}, 201)
        assert (made["status"], made["userTimezone"], made["exercises"]) == ("in_progress", "Pacific/Auckland", [])

    async def test_exercises_of_the_catalogue_bring_name_and_mode(self, athlete: Actor, connection: Connection) -> None:
        system, name = await create_exercise(connection, mode="distance")
        mine, my_name = await create_exercise(connection, athlete)
        exercises = [
            {"exerciseId": str(system)},
            {"exerciseId": str(mine), "exerciseName": "As I knew it", "mode": "time"},
            {"exerciseId": str(mine)},
        ]
        made = await put(athlete, str(uuid7()), {"exercises": exercises}, 201)
        assert [(e["exerciseId"], e["exerciseName"], e["mode"]) for e in made["exercises"]] == [
            (str(system), name, "distance"),
            (str(mine), "As I knew it", "time"),
            (str(mine), my_name, "reps"),
        ]

    @pytest.mark.parametrize("whose", ["unknown", "foreign"])
    async def test_an_exercise_that_nobody_may_know_is_not_found(
        self, athlete: Actor, other_athlete: Actor, connection: Connection, whose: str
    ) -> None:
        key = uuid7() if whose == "unknown" else (await create_exercise(connection, other_athlete))[0]
        body = {**WHOLE, "exercises": [*WHOLE["exercises"], {"exerciseId": str(key)}]}
        refused = problem(await athlete.client.put(path_of(uuid7()), json=body), 404)
        assert str(key) in refused["detail"]
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0

    async def test_an_archived_exercise_is_refused_anew_and_may_stay(
        self, athlete: Actor, connection: Connection
    ) -> None:
        key, _ = await create_exercise(connection, athlete)
        body = {"exercises": [{"exerciseName": "Rows"}, {"exerciseId": str(key)}]}
        session = await put(athlete, str(uuid7()), body, 201)
        await connection.execute("UPDATE exercises SET is_active = false WHERE id = $1", key)
        assert await put(athlete, session, body) == session
        assert broken_fields(await athlete.client.put(path_of(uuid7()), json=body)) == ["exercises[1].exerciseId"]
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 1

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"status": "done"}, ["status"]),
            ({"status": "completed"}, ["endTime"]),
            ({"endTime": "2026-03-01T11:00:00Z"}, ["endTime"]),
            ({"startTime": "2099-01-01T00:00:00Z"}, ["startTime"]),
            ({"userTimezone": "Mars/Olympus"}, ["userTimezone"]),
            ({"clientRevision": -1}, ["clientRevision"]),
            ({"clientRevision": 2**63}, ["clientRevision"]),
            ({"externalId": "1"}, ["source"]),
            ({"dayNumber": 731}, ["dayNumber"]),
            ({"exercises": [{"exerciseName": "x"}] * 101}, ["exercises"]),
            ({"exercises": [{}]}, ["exercises[0]"]),
            ({"exercises": [{"exerciseName": "x", "id": 7}]}, ["exercises[0].id"]),
            ({"exercises": [{"exerciseName": "x", "sets": [{}] * 101}]}, ["exercises[0].sets"]),
            ({"exercises": [{"exerciseName": "x", "sets": [{}, {"id": 7}]}]}, ["exercises[0].sets[1].id"]),
            (
                {"exercises": [{"exerciseName": "x"}, {"exerciseName": "y", "sets": [{}, {"timeSeconds": 5}]}]},
                ["exercises[1].sets[1].timeSeconds"],
            ),
            (
                {"exercises": [{"exerciseName": "x", "sets": [{"rpe": 11}]}], "pace": 1},
                ["exercises[0].sets[0].rpe", "pace"],
            ),
            ({"exercises": [{"exerciseName": "x", "planned": {"sets": 0}}]}, ["exercises[0].planned.sets"]),
        ],
    )
    async def test_a_broken_body_names_its_fields_and_stores_nothing(
        self, athlete: Actor, connection: Connection, body: Any, fields: list[str]
    ) -> None:
        kept = await put(athlete, str(uuid7()), WHOLE, 201)
        for key in (kept["id"], str(uuid7())):
            answer = await athlete.client.put(
                path_of(key), json={**WHOLE, "status": "in_progress", "endTime": None, **body}
            )
            assert broken_fields(answer) == fields
        assert await read(athlete, kept) == kept
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 1

    async def test_a_hundred_of_each_may_be_sent_and_sent_back_in_another_order(self, athlete: Actor) -> None:
        exercises: list[dict[str, Any]] = [{"exerciseName": str(n)} for n in range(100)]
        exercises[50]["sets"] = [{"repsCompleted": n} for n in range(100)]
        made = await put(athlete, str(uuid7()), {"exercises": exercises}, 201)
        exercises = made["exercises"][::-1]
        exercises[49]["sets"].reverse()
        turned = await put(athlete, made, {**made, "exercises": exercises})
        assert [e["exerciseName"] for e in turned["exercises"]] == [str(n) for n in reversed(range(100))]
        assert [t["repsCompleted"] for t in turned["exercises"][49]["sets"]] == list(reversed(range(100)))
        for rows_of in (turned["exercises"], turned["exercises"][49]["sets"]):
            assert [row["orderIndex"] for row in rows_of] == list(range(1, 101))
        assert [e["id"] for e in turned["exercises"]] == [e["id"] for e in exercises]

    async def test_only_ids_of_version_7_are_made(self, athlete: Actor) -> None:
        answer = await athlete.client.put(path_of("0198c1f2-0000-4000-8000-000000000000"), json=WHOLE)
        assert broken_fields(answer) == ["id"]

    async def test_somebody_elses_id_is_not_found(
        self, athlete: Actor, other_athlete: Actor, connection: Connection
    ) -> None:
        theirs = await put(other_athlete, str(uuid7()), WHOLE, 201)
        before = await rows(connection)
        problem(await athlete.client.put(path_of(theirs), json=WHOLE), 404)
        assert await rows(connection) == before

    async def test_a_deleted_id_stays_deleted(self, athlete: Actor, connection: Connection) -> None:
        session = await put(athlete, str(uuid7()), WHOLE, 201)
        await athlete.client.delete(path_of(session))
        for revision in (1, 3, 9):
            problem(await athlete.client.put(path_of(session), json={**WHOLE, "clientRevision": revision}), 410)
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0


class TestAgain:
    async def test_the_same_delivery_changes_nothing(self, athlete: Actor, connection: Connection) -> None:
        key = str(uuid7())
        await put(athlete, key, WHOLE, 201)
        before = await rows(connection)
        for _ in range(3):
            await put(athlete, key, WHOLE)
        assert await rows(connection) == before

    async def test_what_a_get_answered_may_be_sent_back(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete, notes="heavy", source="strong", externalId="1")
        exercise_id, _ = await create_exercise(connection)
        exercise = await add_exercise(athlete, session, exerciseId=str(exercise_id), mode="distance")
        await add_sets(athlete, session, exercise, {"weight": 24, "distanceKm": 0.04, "rpe": 9.5}, {})
        before = await rows(connection)
        document = await read(athlete, session)
        assert await put(athlete, session, document) == document
        assert await rows(connection) == before

    async def test_a_lower_revision_changes_nothing_and_tells_what_is_stored(
        self, athlete: Actor, connection: Connection
    ) -> None:
        session = await put(athlete, str(uuid7()), WHOLE, 201)
        before = await rows(connection)
        for revision in (0, 2):
            late = {**WHOLE, "clientRevision": revision, "notes": "late", "exercises": []}
            assert await put(athlete, session, late) == session
        assert await rows(connection) == before
        assert (await put(athlete, session, {**WHOLE, "notes": "same"}))["notes"] == "same"
        assert (await put(athlete, session, {**WHOLE, "clientRevision": 4}))["clientRevision"] == 4

    async def test_without_a_revision_the_stored_one_stays(self, athlete: Actor) -> None:
        session = await put(athlete, str(uuid7()), WHOLE, 201)
        body = {name: value for name, value in WHOLE.items() if name != "clientRevision"}
        assert (await put(athlete, session, {**body, "notes": None}))["clientRevision"] == 3

    async def test_deliveries_out_of_order_end_with_the_last(self, athlete: Actor, connection: Connection) -> None:
        bodies = [{**WHOLE, "clientRevision": n, "exercises": WHOLE["exercises"][: n % 3]} for n in range(1, 5)]
        ends = []
        for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 3, 0], [1, 3, 1, 3]):
            key = str(uuid7())
            for place in order:
                assert (await athlete.client.put(path_of(key), json=bodies[place])).status_code in {200, 201}
            end = await read(athlete, {"id": key})
            ends.append([(e["exerciseName"], len(e["sets"])) for e in end["exercises"]] + [end["clientRevision"]])
        assert ends == [[("Bench press", 2), 4]] * 4

    async def test_another_version_changes_nothing(self, athlete: Actor, connection: Connection) -> None:
        key = str(uuid7())
        stale = {"if-match": '"1-owner"'}
        assert (await athlete.client.put(path_of(key), json=WHOLE, headers=stale)).status_code == 412
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0
        session = await put(athlete, key, WHOLE, 201)
        tag = await etag(athlete, session)
        before = await rows(connection)
        answer = await athlete.client.put(path_of(key), json={**WHOLE, "clientRevision": 9}, headers=stale)
        assert answer.status_code == 412
        assert await rows(connection) == before
        fresh = await athlete.client.put(path_of(key), json={**WHOLE, "clientRevision": 9}, headers={"if-match": tag})
        assert (fresh.status_code, fresh.headers["etag"]) == (200, await etag(athlete, session))

    @pytest.mark.parametrize("header", ["*", '"1-owner"', '"other"'])
    async def test_what_must_be_there_already_is_not_made(
        self, athlete: Actor, connection: Connection, header: str
    ) -> None:
        problem(await athlete.client.put(path_of(uuid7()), json=WHOLE, headers={"if-match": header}), 412)
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0

    async def test_what_must_not_be_there_yet_is_made_and_not_replaced(
        self, athlete: Actor, connection: Connection
    ) -> None:
        key, new = uuid7(), {"if-none-match": "*"}
        made = await athlete.client.put(path_of(key), json=WHOLE, headers=new)
        assert made.status_code == 201
        before = await rows(connection)
        body = {**WHOLE, "clientRevision": 9, "notes": "late"}
        problem(await athlete.client.put(path_of(key), json=body, headers=new), 412)
        known = {"if-none-match": f'"other", {made.headers["etag"]}'}
        problem(await athlete.client.put(path_of(key), json=body, headers=known), 412)
        assert await rows(connection) == before
        answer = await athlete.client.put(path_of(key), json=body, headers={"if-none-match": '"other"'})
        assert (answer.status_code, answer.json()["notes"]) == (200, "late")

    async def test_a_key_gives_the_first_answer_again_where_the_version_has_gone_on(
        self, athlete: Actor, connection: Connection
    ) -> None:
        session = await put(athlete, str(uuid7()), WHOLE, 201)
        headers = {"if-match": await etag(athlete, session), "idempotency-key": "k1"}
        body = {**WHOLE, "clientRevision": 4, "notes": "Corrected"}
        first = await athlete.client.put(path_of(session), json=body, headers=headers)
        before = await rows(connection)
        again = await athlete.client.put(path_of(session), json=body, headers=headers)
        assert (again.status_code, again.text, again.headers["etag"]) == (200, first.text, first.headers["etag"])
        assert again.headers["idempotent-replayed"] == "true"
        other = await athlete.client.put(path_of(session), json=WHOLE, headers=headers)
        assert broken_fields(other) == ["Idempotency-Key"]
        assert await rows(connection) == before


class TestMatching:
    """Ids of what stays are kept."""

    async def test_children_without_ids_are_those_in_their_places(self, athlete: Actor) -> None:
        session = await put(athlete, str(uuid7()), WHOLE, 201)
        body = {**WHOLE, "exercises": [*WHOLE["exercises"], {"exerciseName": "Rows", "sets": [{}]}]}
        body["exercises"][0] = {"exerciseName": "Press", "sets": [{"repsCompleted": 9}]}
        changed = await put(athlete, session, body)
        old, new = session["exercises"], changed["exercises"]
        assert [item["id"] for item in new[:2]] == [item["id"] for item in old]
        assert [item["id"] for item in new[0]["sets"]] == [old[0]["sets"][0]["id"]]
        assert (new[0]["exerciseName"], new[0]["sets"][0]["repsCompleted"], new[0]["supersetGroup"]) == (
            "Press",
            9,
            None,
        )
        assert new[1] == old[1]
        assert new[2]["orderIndex"] == 3

    async def test_children_with_ids_keep_them_wherever_they_go(self, athlete: Actor) -> None:
        names = "abcd"
        body = {"exercises": [{"exerciseName": name, "sets": [{"weight": n} for n in range(3)]} for name in names]}
        session = await put(athlete, str(uuid7()), body, 201)
        a, b, c, d = session["exercises"]
        a["sets"] = [a["sets"][2], {"weight": 9}, a["sets"][0]]
        moved = [d, {"exerciseName": "new"}, a, b]
        changed = await put(athlete, session, {**session, "exercises": moved})
        exercises = changed["exercises"]
        assert "".join(e["exerciseName"] for e in exercises) == "dnewab"
        assert [e["orderIndex"] for e in exercises] == [1, 2, 3, 4]
        assert [exercises[0]["id"], *[e["id"] for e in exercises[2:]]] == [d["id"], a["id"], b["id"]]
        assert c["id"] not in {e["id"] for e in exercises}
        assert exercises[0]["sets"] == d["sets"]
        assert [item["weight"] for item in exercises[2]["sets"]] == [2, 9, 0]
        assert [item["orderIndex"] for item in exercises[2]["sets"]] == [1, 2, 3]
        assert exercises[2]["sets"][0]["id"] == a["sets"][0]["id"]
        assert exercises[2]["sets"][2]["id"] == a["sets"][2]["id"]

    async def test_unchanged_rows_are_not_written(self, athlete: Actor, connection: Connection) -> None:
        session = await put(athlete, str(uuid7()), WHOLE, 201)
        before = await connection.fetch("SELECT id, xmin FROM training_session_sets ORDER BY id")
        bench, plank = session["exercises"]
        bench["sets"][1]["repsCompleted"] = 7
        await put(athlete, session, {**session, "exercises": [plank, bench]})
        after = await connection.fetch("SELECT id, xmin FROM training_session_sets ORDER BY id")
        assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]

    async def test_another_mode_takes_new_sets(self, athlete: Actor) -> None:
        session = await put(athlete, str(uuid7()), WHOLE, 201)
        bench, plank = session["exercises"]
        swapped = [{**bench, "mode": "time", "sets": [{"timeSeconds": 30}]}, plank]
        changed = await put(athlete, session, {**session, "exercises": swapped})
        assert changed["exercises"][0]["id"] == bench["id"]
        assert (changed["exercises"][0]["mode"], changed["exercises"][0]["sets"][0]["timeSeconds"]) == ("time", 30)
        # Without ids each takes the other's row, and so the other's mode.
        exercises = WHOLE["exercises"]
        changed = await put(athlete, session, {**WHOLE, "exercises": exercises[::-1]})
        assert [e["mode"] for e in changed["exercises"]] == ["time", "reps"]
        assert [len(e["sets"]) for e in changed["exercises"]] == [1, 2]

    async def test_an_id_of_another_parent_is_refused(
        self, athlete: Actor, other_athlete: Actor, connection: Connection
    ) -> None:
        session = await put(athlete, str(uuid7()), WHOLE, 201)
        others = [await put(actor, str(uuid7()), WHOLE, 201) for actor in (athlete, other_athlete)]
        before = await rows(connection)
        bench, plank = session["exercises"]
        for other in others:
            foreign = other["exercises"][0]
            body = {**session, "exercises": [{**foreign, "sets": []}]}
            assert broken_fields(await athlete.client.put(path_of(session), json=body)) == ["exercises[0].id"]
            body = {**session, "exercises": [{**bench, "sets": foreign["sets"]}]}
            assert broken_fields(await athlete.client.put(path_of(session), json=body)) == [
                "exercises[0].sets[0].id",
                "exercises[0].sets[1].id",
            ]
        body = {**session, "exercises": [bench, {**plank, "sets": bench["sets"], "mode": "reps"}]}
        assert len(broken_fields(await athlete.client.put(path_of(session), json=body))) == 2
        body = {**session, "exercises": [bench, bench]}
        assert broken_fields(await athlete.client.put(path_of(session), json=body))[0] == "exercises[1].id"
        body = {**session, "exercises": [{**bench, "sets": [bench["sets"][0]] * 2}, plank]}
        assert broken_fields(await athlete.client.put(path_of(session), json=body)) == ["exercises[0].sets[1].id"]
        assert await rows(connection) == before


class TestAtOnce:
    """Ten clients of one athlete, through two apps."""

    async def test_of_many_revisions_the_highest_stays(
        self, athlete: Actor, clients: list[httpx.AsyncClient], connection: Connection
    ) -> None:
        key = str(uuid7())
        bodies = [
            {**WHOLE, "clientRevision": n, "exercises": [{"exerciseName": str(n), "sets": [{}] * n}] * (1 + n % 3)}
            for n in range(10)
        ]
        answers = await asyncio.gather(
            *(
                client.put(path_of(key), json=body)
                for client, body in zip(clients, bodies[5:] + bodies[:5], strict=True)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
        end = await read(athlete, {"id": key})
        assert end["clientRevision"] == 9
        assert [(e["exerciseName"], e["orderIndex"], len(e["sets"])) for e in end["exercises"]] == [("9", 1, 9)]
        assert await connection.fetchval("SELECT count(*) FROM training_session_sets") == 9

    async def test_of_one_delivery_sent_often_one_makes_it(
        self, athlete: Actor, clients: list[httpx.AsyncClient]
    ) -> None:
        key = str(uuid7())
        answers = await asyncio.gather(*(client.put(path_of(key), json=WHOLE) for client in clients))
        assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
        assert len({answer.text for answer in answers}) == 1
        assert len({answer.headers["etag"] for answer in answers}) == 1

    async def test_a_deletion_meanwhile_stays(
        self, athlete: Actor, clients: list[httpx.AsyncClient], connection: Connection
    ) -> None:
        session = await put(athlete, str(uuid7()), WHOLE, 201)
        deleted, *sent = await asyncio.gather(
            clients[1].delete(path_of(session)),
            *(client.put(path_of(session), json={**WHOLE, "notes": str(n)}) for n, client in enumerate(clients[2:])),
        )
        assert deleted.status_code == 204
        assert {answer.status_code for answer in sent} <= {200, 410}
        assert await connection.fetchval("SELECT count(*) FROM training_sessions") == 0

    async def test_sets_that_are_added_meanwhile_leave_an_order_without_gaps(
        self, athlete: Actor, clients: list[httpx.AsyncClient]
    ) -> None:
        session = await put(athlete, str(uuid7()), WHOLE, 201)
        bench, plank = session["exercises"]
        body = {**session, "exercises": [plank, bench]}
        answers = await asyncio.gather(
            *(client.post(sets_path(session, bench), json={"repsCompleted": 1}) for client in clients[:5]),
            *(client.put(path_of(session), json=body) for client in clients[5:]),
        )
        assert [answer.status_code for answer in answers] == [201] * 5 + [200] * 5
        end = await read(athlete, session)
        assert [e["id"] for e in end["exercises"]] == [plank["id"], bench["id"]]
        sets = end["exercises"][1]["sets"]
        assert [item["id"] for item in sets[:2]] == [item["id"] for item in bench["sets"]]
        assert [item["orderIndex"] for item in sets] == list(range(1, len(sets) + 1))


class TestTemplates:
    """Sessions that were started offline, from templates that the client knows."""

    async def test_links_that_the_caller_may_read_are_kept(self, athlete: Actor, other_athlete: Actor) -> None:
        unit = await make_unit(other_athlete, exercise("Squat"), exercise("Rows"))
        plan = await make_plan(other_athlete, [(unit, 4)])
        await share(other_athlete, PLANS, plan, "public")
        links = {
            "trainingPlanId": plan["id"],
            "trainingUnitId": unit["id"],
            "planUnitId": plan["units"][0]["id"],
        }
        squat = {
            "exerciseName": "Squat",
            "plannedUnitExerciseId": unit["exercises"][0]["id"],
            "planned": {"orderIndex": 1, "sets": 3, "repsMin": 5, "targetWeight": 82.5},
            "sets": [{"repsCompleted": 5}],
        }
        body = {**links, "exercises": [squat]}
        made = await put(athlete, str(uuid7()), body, 201)
        assert links.items() <= made.items()
        assert (made["planName"], made["unitName"], made["dayNumber"]) == (plan["name"], unit["name"], 4)
        [done] = made["exercises"]
        assert done["plannedUnitExerciseId"] == unit["exercises"][0]["id"]
        assert squat["planned"].items() <= done["planned"].items()
        named = await put(athlete, str(uuid7()), {**body, "planName": "As I knew it", "dayNumber": 5}, 201)
        assert (named["planName"], named["unitName"], named["dayNumber"]) == ("As I knew it", unit["name"], 5)
        # What is there already stays when the template is hidden, and what is new is left out.
        await share(other_athlete, PLANS, plan, "private")
        assert await put(athlete, made, body) == made
        late = await put(athlete, str(uuid7()), {**body, "planName": "As I knew it"}, 201)
        assert {name: late[name] for name in links} == dict.fromkeys(links)
        assert (late["planName"], late["unitName"], late["dayNumber"]) == ("As I knew it", None, None)
        assert late["exercises"][0]["plannedUnitExerciseId"] is None
        assert late["exercises"][0]["planned"] == done["planned"]

    async def test_what_the_template_gave_stays_unless_it_is_sent(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, exercise("Squat"))
        session = await start(athlete, trainingUnitId=unit["id"])
        changed = await put(athlete, session, {"exercises": [{"exerciseName": "Squat", "sets": [{}]}]})
        assert (changed["trainingUnitId"], changed["unitName"]) == (unit["id"], unit["name"])
        assert changed["exercises"] == [{**session["exercises"][0], "sets": changed["exercises"][0]["sets"]}]
        cut: list[dict[str, Any]] = [{"exerciseName": "Squat", "plannedUnitExerciseId": None, "planned": {}}]
        changed = await put(athlete, session, {"trainingUnitId": None, "unitName": None, "exercises": cut})
        assert (changed["trainingUnitId"], changed["unitName"]) == (None, None)
        assert changed["exercises"][0]["plannedUnitExerciseId"] is None
        assert set(changed["exercises"][0]["planned"].values()) == {None}

    async def test_another_link_brings_its_own_name(self, athlete: Actor) -> None:
        units = [await make_unit(athlete), await make_unit(athlete)]
        plans = [await make_plan(athlete, [(unit, day)]) for day, unit in enumerate(units, start=3)]
        first, second = [
            {"trainingPlanId": plan["id"], "trainingUnitId": unit["id"], "planUnitId": plan["units"][0]["id"]}
            for plan, unit in zip(plans, units, strict=True)
        ]
        session = await put(athlete, str(uuid7()), first, 201)
        moved = await put(athlete, session, second)
        assert second.items() <= moved.items()
        assert (moved["planName"], moved["unitName"], moved["dayNumber"]) == (plans[1]["name"], units[1]["name"], 4)
        assert await put(athlete, session, second) == moved
        # Names that were taken away stay away, and those of a link that is cut stay.
        bare = await put(athlete, session, {"planName": None, "trainingUnitId": None})
        assert (bare["planName"], bare["unitName"]) == (None, units[1]["name"])
        assert await put(athlete, session, second | {"trainingUnitId": None}) == bare

    async def test_a_day_of_another_plan_is_left_out(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan, other = await make_plan(athlete, [(unit, 1)]), await make_plan(athlete, [(unit, 2)])
        body = {"trainingPlanId": plan["id"], "planUnitId": other["units"][0]["id"]}
        made = await put(athlete, str(uuid7()), body, 201)
        assert (made["trainingPlanId"], made["planUnitId"], made["dayNumber"]) == (plan["id"], None, None)

    async def test_a_completed_day_counts_in_the_progress(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1), (unit, 2)])
        links = {"trainingPlanId": plan["id"], "trainingUnitId": unit["id"], "planUnitId": plan["units"][0]["id"]}
        await put(athlete, str(uuid7()), {**WHOLE, **links}, 201)
        found = (await athlete.client.get(f"{PLANS}/{plan['id']}/next")).json()
        assert found["next"]["planUnitId"] == plan["units"][1]["id"]


_SETS = st.lists(
    st.fixed_dictionaries({"repsCompleted": st.integers(0, 3)}, optional={"setType": st.just("drop")}), max_size=4
)
_EXERCISES = st.lists(
    st.fixed_dictionaries(
        {"exerciseName": st.sampled_from("abc"), "sets": _SETS}, optional={"supersetGroup": st.just(1)}
    ),
    max_size=4,
)


class TestSequences:
    """Whatever arrives how often in whatever order, the highest revision is what is stored."""

    @given(data=st.data(), documents=st.lists(_EXERCISES, min_size=1, max_size=4))
    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    async def test_the_same_rows_in_the_end(
        self, athlete: Actor, data: st.DataObject, documents: list[list[dict[str, Any]]]
    ) -> None:
        key = str(uuid7())
        deliveries = data.draw(st.lists(st.integers(0, len(documents) - 1), min_size=1, max_size=7))
        highest = -1
        for revision in deliveries:
            body = {"clientRevision": revision, "exercises": documents[revision]}
            before = await read(athlete, {"id": key}) if highest >= 0 else None
            answer = await athlete.client.put(path_of(key), json=body)
            assert answer.status_code == (201 if before is None else 200)
            if revision <= highest:
                assert answer.json() == before
            highest = max(highest, revision)
            assert _plain(answer.json()) == _expected(documents[highest])
            assert answer.json() == await read(athlete, {"id": key})


def _plain(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            exercise["orderIndex"],
            exercise["exerciseName"],
            exercise["supersetGroup"],
            [(item["orderIndex"], item["repsCompleted"], item["setType"]) for item in exercise["sets"]],
        )
        for exercise in document["exercises"]
    ]


def _expected(sent: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            place,
            exercise["exerciseName"],
            exercise.get("supersetGroup"),
            [
                (number, item["repsCompleted"], item.get("setType"))
                for number, item in enumerate(exercise["sets"], start=1)
            ],
        )
        for place, exercise in enumerate(sent, start=1)
    ]
