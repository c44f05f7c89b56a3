"""What comes, of whom, in which parts."""

import base64
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.actors import Actor
from tests.db.rows import Rows
from tests.factories import CustomExerciseFactory
from tests.history.workouts import Connection, add_exercise, add_sets, fill, start
from tests.statements import Statements
from tests.sync.copies import KINDS, ROUTES, SYNC, TABLES, Copy, add, delete, keys, settled, touch
from tests.training.templates import PLANS, UNITS, exercise, grant, make_plan, make_unit, share


@pytest.fixture
def copy(athlete: Actor, connection: Connection) -> Copy:
    """A client of the athlete that has nothing yet."""
    return Copy(athlete.client, connection)


class TestDocuments:
    @pytest.mark.parametrize("kind", ROUTES)
    async def test_are_those_of_the_details(
        self, athlete: Actor, copy: Copy, connection: Connection, kind: str
    ) -> None:
        key = await add(connection, kind, athlete)
        rows = Rows(connection)
        match kind:
            case "exercise":
                await rows.add("exercise_equipment", exercise_id=key)
            case "training_unit":
                await rows.add("training_unit_exercises", training_unit_id=key)
            case "training_plan":
                unit = await add(connection, "training_unit", athlete)
                await rows.add("training_plan_units", training_plan_id=key, training_unit_id=unit)
            case _:
                exercise = await rows.add("training_session_exercises", training_session_id=key)
                await rows.add("training_session_sets", session_exercise_id=exercise["id"], weight=80.5)
        await copy.sync()
        answer = await athlete.client.get(f"{ROUTES[kind]}/{key}")
        item = copy.items[kind, str(key)]
        assert answer.status_code == 200
        assert item["document"] == answer.json()
        assert item["etag"] == answer.headers["etag"]
        assert item["deletedAt"] is None

    async def test_of_runs_are_what_was_recorded(self, athlete: Actor, copy: Copy, connection: Connection) -> None:
        key = await add(connection, "run", athlete, distance_km=10, elevation_gain_m=120.5)
        [item] = await copy.sync()
        created = await connection.fetchval("SELECT created_at FROM runs")
        assert item["etag"] == '"1-owner"'
        assert item["document"] == {
            "id": str(key),
            "planId": None,
            "workoutId": None,
            "startedAt": "2026-06-01T06:00:00Z",
            "userTimezone": "Europe/Berlin",
            "localDate": "2026-06-01",
            "distanceKm": 10,
            "durationSeconds": 1500,
            "paceSecPerKm": 150,
            "paceStr": "2:30/km",
            "matchesTarget": None,
            "elapsedSeconds": None,
            "avgHeartRate": None,
            "elevationGainM": 120.5,
            "perceivedEffort": None,
            "source": "manual",
            "externalId": None,
            "notes": None,
            "splits": None,
            "createdAt": created.isoformat().replace("+00:00", "Z"),
            "updatedAt": created.isoformat().replace("+00:00", "Z"),
        }

    async def test_through_the_routes(self, athlete: Actor, copy: Copy) -> None:
        session = await start(athlete)
        made = await athlete.client.post("/api/v1/exercises/user", json=CustomExerciseFactory.build())
        assert keys(await copy.sync()) == [("training_session", session["id"]), ("exercise", made.json()["id"])]
        exercise = await add_exercise(athlete, session)
        await add_sets(athlete, session, exercise, {"repsCompleted": 5})
        [news] = await copy.sync()
        assert news["document"]["exercises"][0]["sets"][0]["repsCompleted"] == 5
        assert news["etag"] == '"3-owner"'
        await athlete.client.delete(f"/api/v1/exercises/{made.json()['id']}")
        await athlete.client.delete(f"/api/v1/training-sessions/{session['id']}")
        gone = await copy.sync()
        assert keys(gone) == [("exercise", made.json()["id"]), ("training_session", session["id"])]
        assert [(item["document"], item["etag"]) for item in gone] == [(None, None)] * 2


class TestChanges:
    async def test_nobody_has_any_at_first(self, copy: Copy) -> None:
        assert await copy.sync() == []
        assert await copy.sync() == []

    @pytest.mark.parametrize("kind", KINDS)
    async def test_come_once_each(self, athlete: Actor, copy: Copy, connection: Connection, kind: str) -> None:
        other, key = [await add(connection, kind, athlete) for _ in range(2)]
        assert keys(await copy.sync()) == [(kind, str(other)), (kind, str(key))]
        assert await copy.sync() == []
        await touch(connection, kind, key)
        assert keys(await copy.sync()) == [(kind, str(key))]
        assert await copy.sync() == []
        await delete(connection, kind, key)
        [gone] = await copy.sync()
        assert (gone["kind"], gone["id"], gone["document"], gone["etag"]) == (kind, str(key), None, None)
        assert datetime.fromisoformat(gone["deletedAt"]) <= datetime.now(UTC)
        assert await copy.sync() == []
        assert copy.documents.keys() == {(kind, str(other))}

    @pytest.mark.parametrize("kind", KINDS)
    async def test_of_others_never_come(
        self, other_athlete: Actor, superuser: Actor, copy: Copy, connection: Connection, kind: str
    ) -> None:
        key = await add(connection, kind, other_athlete)
        await delete(connection, kind, await add(connection, kind, other_athlete))
        assert await copy.sync() == []
        assert await Copy(superuser.client, connection).sync() == []
        assert len(await Copy(other_athlete.client, connection).sync()) == 2
        assert await connection.fetchval(f"SELECT count(*) FROM {TABLES[kind][0]} WHERE id = $1", key) == 1

    @pytest.mark.parametrize("kind", ["training_unit", "training_plan"])
    @pytest.mark.parametrize("status", ["shared", "public"])
    async def test_of_what_is_shared_with_me_never_come(
        self, athlete: Actor, other_athlete: Actor, copy: Copy, connection: Connection, kind: str, status: str
    ) -> None:
        key = await add(connection, kind, other_athlete, sharing_status=status)
        await Rows(connection).add(
            f"{kind}_access", **{f"{kind}_id": key}, user_id=athlete.id, granted_by=other_athlete.id
        )
        assert await copy.sync() == []

    async def test_of_the_system_never_come(self, copy: Copy, connection: Connection) -> None:
        exercise = await Rows(connection).add("exercises")
        assert await copy.sync() == []
        await delete(connection, "exercise", exercise["id"])
        assert await copy.sync() == []

    async def test_an_exercise_that_is_given_to_everybody_is_no_longer_mine(
        self, athlete: Actor, superuser: Actor, copy: Copy, connection: Connection
    ) -> None:
        key = await add(connection, "exercise", athlete)
        await copy.sync()
        assert (await superuser.client.post(f"/api/v1/exercises/{key}/promote")).status_code == 200
        [gone] = await copy.sync()
        assert (gone["id"], gone["document"]) == (str(key), None)

    async def test_of_a_deleted_template_reach_the_sessions_that_refer_to_it(
        self, athlete: Actor, copy: Copy, connection: Connection
    ) -> None:
        unit = await add(connection, "training_unit", athlete)
        session = await add(connection, "training_session", athlete, training_unit_id=unit, unit_name_snapshot="Push")
        await copy.sync()
        await delete(connection, "training_unit", unit)
        news = await copy.sync()
        assert set(keys(news)) == {("training_unit", str(unit)), ("training_session", str(session))}
        assert copy.documents["training_session", str(session)]["trainingUnitId"] is None

    async def test_of_who_may_see_a_template_are_none_of_the_template(
        self, athlete: Actor, other_athlete: Actor, copy: Copy
    ) -> None:
        unit = await make_unit(athlete, exercise())
        plan = await make_plan(athlete, [(unit, 1)])
        for place, template in ((UNITS, unit), (PLANS, plan)):
            await share(athlete, place, template, "shared")
        await copy.sync()
        for place, template in ((UNITS, unit), (PLANS, plan)):
            await grant(athlete, place, template, other_athlete)
            assert (await athlete.client.post(f"{place}/{template['id']}/link", json={})).status_code == 201
        await start(other_athlete, planUnitId=plan["units"][0]["id"])
        assert await copy.sync() == []

    async def test_of_a_name_reach_what_shows_it(self, athlete: Actor, copy: Copy) -> None:
        unit = await make_unit(athlete, exercise())
        plan = await make_plan(athlete, [(unit, 1)])
        session = await start(athlete, planUnitId=plan["units"][0]["id"])
        await copy.sync()
        await athlete.client.patch(f"{UNITS}/{unit['id']}", json={"name": "Other"})
        assert sorted(keys(await copy.sync())) == [("training_plan", plan["id"]), ("training_unit", unit["id"])]
        assert copy.documents["training_plan", plan["id"]]["units"][0]["unitName"] == "Other"
        assert copy.documents["training_session", session["id"]] == session

    async def test_of_a_merged_exercise_reach_all_that_refers_to_it(
        self, athlete: Actor, copy: Copy, connection: Connection
    ) -> None:
        merged, into = [await add(connection, "exercise", athlete) for _ in range(2)]
        unit = await make_unit(athlete, {"exerciseId": str(merged), "mode": "reps", "repsMin": 5})
        session = await start(athlete, trainingUnitId=unit["id"])
        await copy.sync()
        answer = await athlete.client.post(f"/api/v1/exercises/{merged}/merge", json={"intoId": str(into)})
        assert answer.status_code == 200, answer.text
        assert {("exercise", str(merged)), ("training_unit", unit["id"]), ("training_session", session["id"])} <= set(
            keys(await copy.sync())
        )
        assert ("exercise", str(merged)) not in copy.documents
        for kind, key in (("training_unit", unit["id"]), ("training_session", session["id"])):
            assert copy.documents[kind, key]["exercises"][0]["exerciseId"] == str(into)

    async def test_of_what_is_read_or_sent_as_it_is_are_none(self, athlete: Actor, copy: Copy) -> None:
        session = await start(athlete)
        await add_sets(athlete, session, await add_exercise(athlete, session), {"repsCompleted": 5})
        await copy.sync()
        path = f"/api/v1/training-sessions/{session['id']}"
        stored = (await athlete.client.get(path)).json()
        assert (await athlete.client.put(path, json=stored)).status_code == 200
        assert (await athlete.client.put(path, json={**stored, "source": "x" * 51})).status_code == 422
        assert (await athlete.client.get(f"{path}/previous")).status_code == 200
        assert await copy.sync() == []

    async def test_what_came_and_went_between_is_told_as_deleted(
        self, athlete: Actor, copy: Copy, connection: Connection
    ) -> None:
        key = await add(connection, "run", athlete)
        await delete(connection, "run", key)
        [gone] = await copy.sync()
        assert (gone["id"], gone["document"]) == (str(key), None)

    async def test_need_an_account(self, client: httpx.AsyncClient) -> None:
        assert (await client.get(SYNC)).status_code == 401


class TestParts:
    @pytest.mark.parametrize("page_size", [1, 2, 3, 7, 100])
    async def test_leave_nothing_out(self, athlete: Actor, connection: Connection, page_size: int) -> None:
        async with connection.transaction():
            # One transaction, so one number for all of them.
            together = {(kind, str(await add(connection, kind, athlete))) for kind in KINDS for _ in range(2)}
        alone = {(kind, str(await add(connection, kind, athlete))) for kind in KINDS}
        for key in [await add(connection, kind, athlete) for kind in ("run",)]:
            await delete(connection, "run", key)
        copy = Copy(athlete.client, connection, page_size)
        received = keys(await copy.sync())
        assert len(received) == len(set(received)) == 16
        assert set(received[:10]) == together
        assert set(received[10:15]) == alone
        assert received[15] == ("run", str(key))

    async def test_say_whether_there_is_more(self, athlete: Actor, connection: Connection) -> None:
        for _ in range(4):
            await add(connection, "run", athlete)
        copy = Copy(athlete.client, connection, 2)
        await settled(connection)
        answers = [await copy.ask() for _ in range(3)]
        assert [(len(answer["items"]), answer["hasMore"]) for answer in answers] == [(2, True), (2, False), (0, False)]

    async def test_are_smaller_where_sessions_are_long(self, athlete: Actor, connection: Connection) -> None:
        for _ in range(5):
            await add(connection, "training_session", athlete)
        await fill(connection)
        copy = Copy(athlete.client, connection)
        await settled(connection)
        answers = [await copy.ask() for _ in range(3)]
        assert [(len(answer["items"]), answer["hasMore"]) for answer in answers] == [(4, True), (1, False), (0, False)]
        assert len(copy.documents) == 5

    async def test_bring_what_changes_meanwhile_at_the_end(self, athlete: Actor, connection: Connection) -> None:
        first, second, third = [await add(connection, "training_session", athlete) for _ in range(3)]
        copy = Copy(athlete.client, connection, 1)
        await settled(connection)
        await copy.ask()
        await touch(connection, "training_session", first)
        await delete(connection, "training_session", second)
        assert [key for _, key in keys(await copy.sync())] == [str(third), str(first), str(second)]

    @pytest.mark.parametrize("page_size", [0, 101, "x"])
    async def test_are_bounded(self, athlete: Actor, page_size: object) -> None:
        answer = await athlete.client.get(SYNC, params={"pageSize": str(page_size)})
        assert answer.status_code == 422
        assert [detail["field"] for detail in answer.json()["details"]] == ["pageSize"]

    async def test_take_one_statement(
        self,
        athlete: Actor,
        connection: Connection,
        statements: Callable[[], AbstractContextManager[Statements]],
    ) -> None:
        for kind in KINDS:
            await add(connection, kind, athlete)
        await athlete.client.get(SYNC)
        for query in ({}, {"pageSize": "2"}):
            with statements() as sent:
                await athlete.client.get(SYNC, params=query)
            assert len(sent) == 1, sent

    async def test_cost_the_same_however_much_lies_before_and_next_to_nothing_at_the_end(
        self,
        athlete: Actor,
        other_athlete: Actor,
        connection: Connection,
        statements: Callable[[], AbstractContextManager[Statements]],
    ) -> None:
        # Many transactions, so that there are many numbers.
        await connection.execute(
            "DO $$ BEGIN FOR n IN 1..400 LOOP"
            " INSERT INTO training_sessions (id, user_id, user_timezone) SELECT gen_random_uuid(), owner, 'UTC'"
            f" FROM unnest('{{{athlete.id}, {other_athlete.id}}}'::uuid[]) owner, generate_series(1, 5);"
            " COMMIT; END LOOP; END $$"
        )
        await connection.execute("ANALYZE training_sessions")
        await athlete.client.get(SYNC)
        await settled(connection)
        with statements() as sent:
            await athlete.client.get(SYNC)
        half = await connection.fetchval(
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY changed_xid) FROM training_sessions"
        )
        costs = []
        for xid in (0, half, 2**62):
            values = (athlete.id, xid, UUID(int=0), "", 20)
            plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sent[0]}", *values)
            assert "ix_training_sessions_changes" in plan
            assert "Seq Scan" not in re.findall(
                r'"Node Type": "([^"]*)",[^{}]*"Relation Name": "training_sessions"', plan
            )
            assert set(re.findall(r'"Rows Removed by (?:Filter|Index Recheck)": (\d+)', plan)) <= {"0"}
            costs.append(json.loads(plan)[0]["Plan"]["Shared Hit Blocks"])
        assert costs[1] <= 1.5 * costs[0]
        assert costs[2] <= 20


def parts_of(cursor: str) -> dict[str, Any]:
    """What a cursor says."""
    names = ("user", "era", "asked_at", "xid", "id", "kind")
    return dict(zip(names, json.loads(base64.urlsafe_b64decode(cursor + "==")), strict=True))


def changed(cursor: str, **values: Any) -> str:
    """A cursor with some of its parts changed."""
    made = json.dumps(list({**parts_of(cursor), **values}.values())).encode()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


class TestCursors:
    @pytest.mark.parametrize(
        "values",
        [
            {"xid": "x"},
            {"xid": 2**63},
            {"xid": -1},
            {"asked_at": "x"},
            {"asked_at": 10**30},
            {"id": "x"},
            {"id": 5},
            {"kind": "a\x00b"},
            {"user": "x"},
        ],
    )
    async def test_that_are_none_are_refused(self, athlete: Actor, copy: Copy, values: dict[str, Any]) -> None:
        await copy.ask()
        assert copy.since is not None
        answer = await athlete.client.get(SYNC, params={"since": changed(copy.since, **values)})
        assert answer.status_code == 422, answer.text
        assert [detail["field"] for detail in answer.json()["details"]] == ["since"]

    @pytest.mark.parametrize("since", ["x", "!", "bnVsbA", "W10"])
    async def test_nonsense_is_refused(self, athlete: Actor, since: str) -> None:
        assert (await athlete.client.get(SYNC, params={"since": since})).status_code == 422

    async def test_empty_means_everything(self, athlete: Actor, connection: Connection) -> None:
        await add(connection, "run", athlete)
        await settled(connection)
        answer = await athlete.client.get(SYNC, params={"since": ""})
        assert len(answer.json()["items"]) == 1

    async def test_belong_to_one_user(self, copy: Copy, other_athlete: Actor) -> None:
        await copy.ask()
        answer = await other_athlete.client.get(SYNC, params={"since": str(copy.since)})
        assert answer.status_code == 422

    async def test_of_another_database_are_gone(self, athlete: Actor, copy: Copy) -> None:
        await copy.ask()
        answer = await athlete.client.get(SYNC, params={"since": changed(str(copy.since), era="another")})
        assert answer.status_code == 410
        assert "begin again" in answer.json()["detail"]

    @pytest.mark.parametrize(("days", "status"), [(363, 200), (365, 410)])
    async def test_are_gone_before_the_tombstones_are(self, athlete: Actor, copy: Copy, days: int, status: int) -> None:
        await copy.ask()
        asked_at = int((datetime.now(UTC) - timedelta(days=days)).timestamp())
        answer = await athlete.client.get(SYNC, params={"since": changed(str(copy.since), asked_at=asked_at)})
        assert answer.status_code == status

    async def test_keep_their_age_until_everything_is_there(
        self, athlete: Actor, copy: Copy, connection: Connection
    ) -> None:
        await copy.ask()
        for _ in range(3):
            await add(connection, "run", athlete)
        asked_at = int((datetime.now(UTC) - timedelta(days=300)).timestamp())
        copy.since, copy.page_size = changed(str(copy.since), asked_at=asked_at), 2
        ages = []
        await settled(connection)
        for _ in range(2):
            await copy.ask()
            ages.append(json.loads(base64.urlsafe_b64decode(f"{copy.since}=="))[2])
        assert ages[0] == asked_at
        assert ages[1] > asked_at
