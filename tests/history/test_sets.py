from decimal import Decimal
from typing import Any

import pytest

from tests.actors import Actor
from tests.history.workouts import (
    NO_DETAILS,
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

METRICS = {"reps": "repsCompleted", "time": "timeSeconds", "distance": "distanceKm", "sets_only": None}
VALUES = {"repsCompleted": 8, "timeSeconds": 60, "distanceKm": 1.25}
COLUMNS = {"repsCompleted": "reps_completed", "timeSeconds": "time_seconds", "distanceKm": "distance_km"}


class TestAdd:
    @pytest.mark.parametrize(("mode", "metric"), METRICS.items())
    async def test_each_mode_takes_its_own_metric_and_a_weight(
        self, athlete: Actor, connection: Connection, mode: str, metric: str | None
    ) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session, mode=mode)
        body = {"weight": 22.5, **({metric: VALUES[metric]} if metric else {})}
        answer = await athlete.client.post(sets_path(session, exercise), json=body)
        assert answer.status_code == 201
        assert answer.headers["location"].endswith(session["id"])
        assert answer.headers["etag"] == await etag(athlete, session)
        added = answer.json()
        nothing = dict.fromkeys(VALUES)
        assert added == {"id": added["id"], "orderIndex": 1, **nothing, **NO_DETAILS, **body}
        row = await connection.fetchrow("SELECT * FROM training_session_sets")
        assert row is not None
        assert (row["mode"], row["weight"]) == (mode, Decimal("22.5"))
        stored = {name: row[column] and float(row[column]) for name, column in COLUMNS.items()}
        assert {"weight": 22.5, **stored} == {**nothing, **body}

    @pytest.mark.parametrize("mode", METRICS)
    @pytest.mark.parametrize("metric", VALUES)
    async def test_the_metric_of_another_mode_breaks_a_rule(
        self, athlete: Actor, connection: Connection, mode: str, metric: str
    ) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session, mode=mode)
        path = sets_path(session, exercise)
        answer = await athlete.client.post(path, json={metric: VALUES[metric]})
        if metric == METRICS[mode]:
            assert answer.status_code == 201
            return
        assert broken_fields(answer) == [metric]
        assert broken_fields(await athlete.client.post(path, json=[{}, {metric: VALUES[metric]}])) == [f"[1].{metric}"]
        assert await connection.fetchval("SELECT count(*) FROM training_session_sets") == 0

    async def test_several_are_added_in_their_order(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        await add_sets(athlete, session, exercise, {"repsCompleted": 1})
        answer = await athlete.client.post(
            sets_path(session, exercise), json=[{"repsCompleted": reps} for reps in (2, 3, 4)]
        )
        assert answer.status_code == 201
        assert answer.headers["etag"] == await etag(athlete, session)
        assert [(s["repsCompleted"], s["orderIndex"]) for s in answer.json()] == [(2, 2), (3, 3), (4, 4)]
        assert [s["repsCompleted"] for s in (await read(athlete, session))["exercises"][0]["sets"]] == [1, 2, 3, 4]

    @pytest.mark.parametrize(
        ("bodies", "order"),
        [
            ([{"position": 1}], "Cab"),
            ([{"position": 2}], "aCb"),
            ([{"position": 3}], "abC"),
            ([{"position": 100}], "abC"),
            ([{"position": 1}, {"position": 1}], "DCab"),
            ([{"position": 2}, {}, {"position": 1}], "EaCbD"),
        ],
    )
    async def test_a_position_inserts(self, athlete: Actor, bodies: list[dict[str, int]], order: str) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        await add_sets(athlete, session, exercise, *[{"weight": ord(name)} for name in "ab"])
        answer = await athlete.client.post(
            sets_path(session, exercise),
            json=[{"weight": ord(name), **body} for name, body in zip("CDE", bodies, strict=False)],
        )
        assert answer.status_code == 201
        assert answer.headers["etag"] == await etag(athlete, session)
        sets = (await read(athlete, session))["exercises"][0]["sets"]
        assert "".join(chr(int(item["weight"])) for item in sets) == order
        assert [item["orderIndex"] for item in sets] == list(range(1, len(sets) + 1))
        assert [sets[item["orderIndex"] - 1] for item in answer.json()] == answer.json()

    @pytest.mark.parametrize(("sent", "text"), [(80, "80"), (0, "0"), (80.5, "80.5"), (99999, "99999")])
    async def test_whole_numbers_are_short_in_every_answer(self, athlete: Actor, sent: float, text: str) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        sets = sets_path(session, exercise)
        added = await athlete.client.post(sets, json={"weight": sent})
        changed = await athlete.client.patch(f"{sets}/{added.json()['id']}", json={"weight": sent})
        listed = await athlete.client.post(sets, json=[{"weight": sent}])
        for answer in (added, changed, listed):
            assert f'"weight":{text},' in answer.text

    @pytest.mark.parametrize(
        ("sent", "stored"),
        [(0, 0), (80.5, 80.5), (80.125, 80.12), (80.135, 80.14), (99999.994, 99999.99), (1e-9, 0), (60, 60)],
    )
    async def test_weights_are_rounded_half_even(self, athlete: Actor, sent: float, stored: float) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        [added] = await add_sets(athlete, session, exercise, {"weight": sent})
        assert added["weight"] == stored

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"weight": -0.01}, ["weight"]),
            ({"weight": 99999.995}, ["weight"]),
            ({"weight": 1e400}, None),
            ({"weight": "80"}, ["weight"]),
            ({"weight": True}, ["weight"]),
            ({"repsCompleted": -1}, ["repsCompleted"]),
            ({"repsCompleted": 32768}, ["repsCompleted"]),
            ({"repsCompleted": 1.5}, ["repsCompleted"]),
            ({"timeSeconds": 0}, ["timeSeconds"]),
            ({"distanceKm": 0.0001}, ["distanceKm"]),
            ({"distanceKm": 10_000}, ["distanceKm"]),
            ({"orderIndex": 1}, ["orderIndex"]),
            ({"position": 0}, ["position"]),
            ({"weight": -1, "repsCompleted": -1, "pace": 8}, ["weight", "repsCompleted", "pace"]),
            ({"repsCompleted": 1, "timeSeconds": 1, "distanceKm": 1}, ["timeSeconds", "distanceKm"]),
            ([{}, {"weight": -1}, {"timeSeconds": 0}], ["[1].weight", "[2].timeSeconds"]),
            ([{"repsCompleted": 5}, {"timeSeconds": 5}], ["[1].timeSeconds"]),
            ([], ["body"]),
            ([{}] * 101, ["body"]),
            ([[]], ["[0]"]),
            ("set", ["body"]),
            (None, ["body"]),
        ],
    )
    async def test_a_broken_body_stores_nothing_of_it(
        self, athlete: Actor, connection: Connection, body: Any, fields: list[str] | None
    ) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        path, tag = sets_path(session, exercise), await etag(athlete, session)
        if fields is None:
            answer = await athlete.client.post(
                path, content=b'{"weight": 1e400}', headers={"content-type": "application/json"}
            )
            assert answer.status_code in {400, 422}
        else:
            assert broken_fields(await athlete.client.post(path, json=body)) == fields
        assert await connection.fetchval("SELECT count(*) FROM training_session_sets") == 0
        assert await etag(athlete, session) == tag

    async def test_a_hundred_is_the_most(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        await add_sets(athlete, session, exercise, *[{"repsCompleted": 1}] * 99)
        path = sets_path(session, exercise)
        assert broken_fields(await athlete.client.post(path, json=[{}, {}])) == ["body"]
        assert (await athlete.client.post(path, json=[{}])).json()[0]["orderIndex"] == 100
        assert broken_fields(await athlete.client.post(path, json={})) == ["body"]
        assert await connection.fetchval("SELECT count(*) FROM training_session_sets") == 100

    async def test_a_repeated_delivery_adds_nothing(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        key = {"idempotency-key": "set-1"}
        first, second = [
            await athlete.client.post(sets_path(session, exercise), json={"repsCompleted": 5}, headers=key)
            for _ in range(2)
        ]
        assert (first.status_code, second.status_code, second.json()) == (201, 201, first.json())
        assert second.headers["idempotent-replayed"] == "true"
        assert second.headers["etag"] == first.headers["etag"]
        assert await connection.fetchval("SELECT count(*) FROM training_session_sets") == 1

    async def test_another_version_adds_nothing(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        path, tag = sets_path(session, exercise), await etag(athlete, session)
        assert (await athlete.client.post(path, json={}, headers={"if-match": tag})).status_code == 201
        assert (await athlete.client.post(path, json={}, headers={"if-match": tag})).status_code == 412
        assert len((await read(athlete, session))["exercises"][0]["sets"]) == 1


class TestChange:
    async def test_absent_keeps_and_null_clears(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        [first, second] = await add_sets(athlete, session, exercise, *[{"weight": 80, "repsCompleted": 8}] * 2)
        path = f"{sets_path(session, exercise)}/{first['id']}"
        answer = await athlete.client.patch(path, json={"weight": 82.5})
        assert (answer.status_code, answer.json()) == (200, {**first, "weight": 82.5})
        assert answer.headers["etag"] == await etag(athlete, session)
        assert (await athlete.client.patch(path, json={"repsCompleted": None})).json()["repsCompleted"] is None
        answer = await athlete.client.patch(path, json={})
        assert answer.json() == {**first, "weight": 82.5, "repsCompleted": None}
        assert answer.headers["etag"] == await etag(athlete, session)
        assert (await read(athlete, session))["exercises"][0]["sets"][1] == second

    async def test_what_a_get_answered_may_be_sent_back(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session, mode="distance")
        [done] = await add_sets(athlete, session, exercise, {"weight": 10, "distanceKm": 0.4})
        answer = await athlete.client.patch(f"{sets_path(session, exercise)}/{done['id']}", json=done)
        assert (answer.status_code, answer.json()) == (200, done)

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"timeSeconds": 30}, ["timeSeconds"]),
            ({"repsCompleted": None, "timeSeconds": 30}, ["timeSeconds"]),
            ({"weight": -1, "mode": "time"}, ["weight", "mode"]),
            ({"distanceKm": 0}, ["distanceKm"]),
        ],
    )
    async def test_a_broken_body_stores_nothing(self, athlete: Actor, body: Any, fields: list[str]) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        [done] = await add_sets(athlete, session, exercise, {"repsCompleted": 8})
        before = await read(athlete, session)
        answer = await athlete.client.patch(f"{sets_path(session, exercise)}/{done['id']}", json=body)
        assert broken_fields(answer) == fields
        assert await read(athlete, session) == before

    async def test_another_version_changes_nothing(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        [done] = await add_sets(athlete, session, exercise, {"repsCompleted": 8})
        path, stale = f"{sets_path(session, exercise)}/{done['id']}", {"if-match": '"2-owner"'}
        assert (await athlete.client.patch(path, json={"weight": 1}, headers=stale)).status_code == 412
        assert (await athlete.client.delete(path, headers=stale)).status_code == 412
        assert (await read(athlete, session))["exercises"][0]["sets"] == [done]

    async def test_an_unknown_set_is_not_found(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        tag, path = await etag(athlete, session), f"{sets_path(session, exercise)}/{2**40}"
        assert (await athlete.client.patch(path, json={"weight": 1})).status_code == 404
        assert (await athlete.client.delete(path)).status_code == 404
        assert await etag(athlete, session) == tag


class TestRemove:
    async def test_the_others_move_up(self, athlete: Actor, connection: Connection) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        sets = await add_sets(athlete, session, exercise, *[{"repsCompleted": reps} for reps in range(1, 6)])
        answer = await athlete.client.delete(f"{sets_path(session, exercise)}/{sets[1]['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        left = (await read(athlete, session))["exercises"][0]["sets"]
        assert [(s["repsCompleted"], s["orderIndex"]) for s in left] == [(1, 1), (3, 2), (4, 3), (5, 4)]
        assert await connection.fetchval("SELECT count(*) FROM training_session_sets") == 4


class TestOrder:
    async def test_the_sets_take_the_order_of_their_ids(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise = await add_exercise(athlete, session)
        sets = await add_sets(athlete, session, exercise, *[{"repsCompleted": reps} for reps in range(4)])
        wanted = [sets[place] for place in (3, 1, 0, 2)]
        answer = await athlete.client.put(
            f"{sets_path(session, exercise)}/order", json={"ids": [item["id"] for item in wanted]}
        )
        assert answer.status_code == 200
        assert answer.headers["etag"] == await etag(athlete, session)
        assert answer.json() == (await read(athlete, session))["exercises"][0]
        assert answer.json()["sets"] == [{**item, "orderIndex": place} for place, item in enumerate(wanted, start=1)]

    async def test_every_id_once_and_no_other(self, athlete: Actor) -> None:
        session = await start(athlete)
        exercise, other = await add_exercise(athlete, session), await add_exercise(athlete, session)
        first, second = [item["id"] for item in await add_sets(athlete, session, exercise, {}, {})]
        [foreign] = [item["id"] for item in await add_sets(athlete, session, other, {})]
        before = await read(athlete, session)
        path = f"{exercise_path(session, exercise)}/sets/order"
        for ids in ([], [first], [first, first], [first, second, foreign], [first, foreign]):
            assert broken_fields(await athlete.client.put(path, json={"ids": ids})) == ["ids"]
        assert await read(athlete, session) == before
