import base64
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import pytest

from app.db.base import uuid7
from tests.actors import Actor
from tests.history.workouts import (
    SESSIONS,
    Connection,
    add_exercise,
    add_sets,
    broken_fields,
    create_exercise,
    fill,
    read,
    start,
)
from tests.statements import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

_INSERT = "INSERT INTO training_sessions (id, user_id, start_time, user_timezone) VALUES ($1, $2, $3, 'UTC')"
_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def insert_sessions(connection: Connection, actor: Actor, starts: list[datetime]) -> list[UUID]:
    ids = [uuid7() for _ in starts]
    await connection.executemany(_INSERT, [(key, actor.id, moment) for key, moment in zip(ids, starts, strict=True)])
    return ids


async def page(actor: Actor, **query: Any) -> dict[str, Any]:
    answer = await actor.client.get(SESSIONS, params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def ids_of(actor: Actor, **query: Any) -> list[str]:
    return [item["id"] for item in (await page(actor, **query))["items"]]


async def walk(actor: Actor, size: int, **query: Any) -> list[list[str]]:
    """The ids of every part, up to the end."""
    parts, cursor = [], ""
    while cursor is not None:
        part = await page(actor, pageSize=size, cursor=cursor, **query)
        parts.append([item["id"] for item in part["items"]])
        cursor = part["nextCursor"]
    return parts


class TestList:
    async def test_nothing_yet(self, athlete: Actor) -> None:
        assert await page(athlete) == {"items": [], "nextCursor": None, "limit": 20}

    async def test_newest_first_with_all_that_the_detail_has(self, athlete: Actor) -> None:
        old = await start(athlete, startTime="2026-02-01T10:00:00Z")
        new = await start(athlete, startTime="2026-03-01T10:00:00Z")
        exercise = await add_exercise(athlete, old)
        await add_sets(athlete, old, exercise, {"weight": 60, "repsCompleted": 8})
        assert (await page(athlete))["items"] == [await read(athlete, new), await read(athlete, old)]

    async def test_parts_join_without_a_gap_or_a_double(self, athlete: Actor, connection: Connection) -> None:
        starts = [_NOON + timedelta(hours=hour // 4) for hour in range(11)]
        ids = await insert_sessions(connection, athlete, starts)
        expected = [str(key) for _, key in sorted(zip(starts, ids, strict=True), reverse=True)]
        parts = await walk(athlete, 3)
        assert [len(part) for part in parts] == [3, 3, 3, 2]
        assert list(chain(*parts)) == expected
        assert await walk(athlete, 11) == [expected]

    async def test_rows_that_come_meanwhile_move_nothing(self, athlete: Actor, connection: Connection) -> None:
        ids = await insert_sessions(connection, athlete, [_NOON] * 6)
        first = await page(athlete, pageSize=3)
        await insert_sessions(connection, athlete, [_NOON + timedelta(days=1), _NOON])
        gone = UUID(first["items"][0]["id"])
        await connection.execute("DELETE FROM training_sessions WHERE id = $1", gone)
        rest = await ids_of(athlete, pageSize=100, cursor=first["nextCursor"])
        assert [item["id"] for item in first["items"]] + rest == [str(key) for key in sorted(ids, reverse=True)]

    async def test_long_sessions_come_in_smaller_parts(self, athlete: Actor, connection: Connection) -> None:
        await insert_sessions(connection, athlete, [_NOON + timedelta(hours=hour) for hour in range(5)])
        await fill(connection)
        parts = await walk(athlete, 100)
        assert [len(part) for part in parts] == [4, 1]
        assert list(chain(*parts)) == list(chain(*await walk(athlete, 1)))

    async def test_a_deep_part_costs_what_the_first_does(
        self, athlete: Actor, connection: Connection, statements: Counted
    ) -> None:
        await connection.execute(
            "INSERT INTO training_sessions (id, user_id, start_time, user_timezone) "
            "SELECT gen_random_uuid(), $1, $2::timestamptz - n * interval '1 hour', 'UTC' "
            "FROM generate_series(1, 3000) n",
            athlete.id,
            _NOON,
        )
        await connection.execute("ANALYZE training_sessions")
        await page(athlete)
        with statements() as sent:
            cursor = (await page(athlete))["nextCursor"]
            await page(athlete, cursor=cursor)
        first, next_one = sent
        deep = _NOON - timedelta(hours=2900)
        costs = []
        for statement, values in (first, (athlete.id, 21)), (next_one, (athlete.id, deep, uuid7(), 21)):
            plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *values)
            assert "idx_ts_user_start" in plan
            assert set(re.findall(r'"Rows Removed by Filter": (\d+)', plan)) <= {"0"}
            costs.append(json.loads(plan)[0]["Plan"]["Shared Hit Blocks"])
        assert costs[1] <= 1.5 * costs[0]

    async def test_a_date_is_the_local_one_and_both_ends_count(self, athlete: Actor) -> None:
        late = await start(athlete, startTime="2026-03-01T23:30:00Z", userTimezone="Pacific/Kiritimati")
        early = await start(athlete, startTime="2026-03-02T02:00:00Z", userTimezone="America/New_York")
        same = await start(athlete, startTime="2026-03-01T12:00:00Z")
        assert [s["localDate"] for s in (late, early, same)] == ["2026-03-02", "2026-03-01", "2026-03-01"]
        assert await ids_of(athlete, **{"from": "2026-03-02"}) == [late["id"]]
        assert await ids_of(athlete, to="2026-03-01") == [early["id"], same["id"]]
        assert await ids_of(athlete, **{"from": "2026-03-01", "to": "2026-03-02"}) == [
            early["id"],
            late["id"],
            same["id"],
        ]
        assert await ids_of(athlete, **{"from": "2026-03-03"}) == []
        assert await ids_of(athlete, **{"from": "2026-03-02", "to": "2026-03-01"}) == []
        assert len(await ids_of(athlete, **{"from": "0001-01-01", "to": "9999-12-31"})) == 3

    async def test_statuses_are_or_and_different_filters_and(self, athlete: Actor, connection: Connection) -> None:
        exercise_id, _ = await create_exercise(connection)
        running, completed, aborted = [await start(athlete, startTime=f"2026-03-0{day}T10:00:00Z") for day in (1, 2, 3)]
        await athlete.client.post(f"{SESSIONS}/{completed['id']}/complete")
        await athlete.client.post(f"{SESSIONS}/{aborted['id']}/abort")
        for session in (running, completed):
            await add_exercise(athlete, session, exerciseId=str(exercise_id))
            await add_exercise(athlete, session, exerciseId=str(exercise_id))
        assert await ids_of(athlete, status="completed") == [completed["id"]]
        assert await ids_of(athlete, status=["in_progress", "aborted"]) == [aborted["id"], running["id"]]
        assert await ids_of(athlete, exerciseId=str(exercise_id)) == [completed["id"], running["id"]]
        both = {"status": ["aborted", "completed"], "exerciseId": [str(exercise_id), str(uuid7())]}
        assert await ids_of(athlete, **both) == [completed["id"]]
        assert await ids_of(athlete, exerciseId=str(uuid7())) == []

    async def test_by_plan_and_unit(self, athlete: Actor, connection: Connection) -> None:
        plan, unit = uuid7(), uuid7()
        await connection.execute(
            "INSERT INTO training_units (id, name, created_by) VALUES ($1, 'Push', $2)", unit, athlete.id
        )
        await connection.execute(
            "INSERT INTO training_plans (id, name, created_by, difficulty_level) VALUES ($1, 'Plan', $2, 'beginner')",
            plan,
            athlete.id,
        )
        first, second = await start(athlete), await start(athlete)
        await connection.execute(
            "UPDATE training_sessions SET training_plan_id = $1, training_unit_id = $2 WHERE id = $3",
            plan,
            unit,
            UUID(first["id"]),
        )
        assert await ids_of(athlete, trainingPlanId=str(plan)) == [first["id"]]
        assert await ids_of(athlete, trainingUnitId=[str(unit), str(uuid7())]) == [first["id"]]
        assert await ids_of(athlete, trainingPlanId=str(plan), trainingUnitId=str(uuid7())) == []
        assert set(await ids_of(athlete)) == {first["id"], second["id"]}

    async def test_a_cursor_belongs_to_its_filters(self, athlete: Actor, connection: Connection) -> None:
        await insert_sessions(connection, athlete, [_NOON] * 3)
        query = {"status": ["in_progress", "completed"], "from": "2026-01-01"}
        cursor = (await page(athlete, pageSize=1, **query))["nextCursor"]
        again = {"status": ["completed", "in_progress", "completed"], "from": "2026-01-01"}
        assert len(await ids_of(athlete, cursor=cursor, pageSize=100, **again)) == 2
        for other in ({}, {"status": "in_progress"}, {**query, "from": "2026-01-02"}, {**query, "to": "2026-12-31"}):
            answer = await athlete.client.get(SESSIONS, params={"cursor": cursor, **other})
            assert broken_fields(answer) == ["cursor"]

    @pytest.mark.parametrize(
        ("query", "fields"),
        [
            ({"cursor": "abc"}, ["cursor"]),
            ({"cursor": "WyJ4IiwxXQ"}, ["cursor"]),
            ({"cursor": "é"}, ["cursor"]),
            ({"pageSize": 0}, ["pageSize"]),
            ({"pageSize": 101}, ["pageSize"]),
            ({"currentPage": 1}, ["currentPage"]),
            ({"from": "2026-02-30"}, ["from"]),
            ({"to": "yesterday"}, ["to"]),
            ({"status": "done"}, ["status"]),
            ({"exerciseId": "1"}, ["exerciseId"]),
            ({"trainingPlanId": "x"}, ["trainingPlanId"]),
            ({"trainingUnitId": "x"}, ["trainingUnitId"]),
            ({"orderBy": "name"}, ["orderBy"]),
        ],
    )
    async def test_a_bad_query_names_its_parameter(
        self, athlete: Actor, query: dict[str, Any], fields: list[str]
    ) -> None:
        assert broken_fields(await athlete.client.get(SESSIONS, params=query)) == fields

    async def test_a_cursor_of_nonsense_with_the_right_filters_is_refused(
        self, athlete: Actor, connection: Connection
    ) -> None:
        await insert_sessions(connection, athlete, [_NOON] * 2)
        cursor = (await page(athlete, pageSize=1))["nextCursor"]
        digest, _, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        for forged in (
            [digest, "soon", key],
            [digest, 1, key],
            [digest, "0001-01-01T00:00:00+23:59", key],
            [digest, "2026-03-01T12:00:00Z", "x"],
            [digest, "2026-03-01T12:00:00Z"],
        ):
            text = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=")
            assert broken_fields(await athlete.client.get(SESSIONS, params={"cursor": text})) == ["cursor"]
