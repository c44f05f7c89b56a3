import pytest

from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.catalogue.exercises import create_custom, create_system, row
from tests.training.templates import (
    UNITS,
    UNKNOWN_ID,
    Connection,
    body_of,
    everything,
    exercise,
    grant,
    make_unit,
    names,
    read,
    rows,
    share,
)

FIELDS = {"id", "name", "description", "sharingStatus", "createdBy", "access", "exercises", "createdAt", "updatedAt"}
CHILD_FIELDS = {
    "id",
    "exerciseId",
    "exerciseName",
    "mode",
    "orderIndex",
    "notes",
    "targetWeight",
    "sets",
    "repsMin",
    "repsMax",
    "targetTimeSeconds",
    "targetDistanceKm",
    "restSeconds",
    "supersetGroup",
}


class TestCreate:
    async def test_a_whole_document(self, athlete: Actor, connection: Connection) -> None:
        custom = await create_custom(athlete)
        body = {
            "name": "  Push \u2003day ",
            "description": "Chest.\r\nShoulders.",
            "exercises": [
                {
                    "exerciseId": custom["id"],
                    "mode": "reps",
                    "repsMin": 5,
                    "repsMax": 8,
                    "sets": 4,
                    "targetWeight": 80.505,
                    "restSeconds": 0,
                    "notes": "slowly",
                    "supersetGroup": 1,
                },
                exercise("Plank", mode="time", repsMin=None, targetTimeSeconds=60),
                exercise("Row", mode="distance", repsMin=None, targetDistanceKm=0.5),
                exercise("Stretch", mode="sets_only", repsMin=None),
            ],
        }
        answer = await athlete.client.post(UNITS, json=body)
        unit = body_of(answer, 201)
        assert unit.keys() == FIELDS
        assert answer.headers["location"] == f"{UNITS}/{unit['id']}"
        assert (unit["name"], unit["description"]) == ("Push day", "Chest.\nShoulders.")
        assert (unit["sharingStatus"], unit["createdBy"], unit["access"]) == ("private", str(athlete.id), "owner")
        assert names(unit) == [custom["name"], "Plank", "Row", "Stretch"]
        assert [item["orderIndex"] for item in unit["exercises"]] == [1, 2, 3, 4]
        first = unit["exercises"][0]
        assert first.keys() == CHILD_FIELDS
        assert (first["targetWeight"], first["sets"], first["restSeconds"]) == (80.5, 4, 0)
        assert (first["notes"], first["supersetGroup"]) == ("slowly", 1)
        stored = await rows(connection, unit)
        assert [str(entry["exercise_id"]) for entry in stored] == [custom["id"], "None", "None", "None"]
        detail = await athlete.client.get(f"{UNITS}/{unit['id']}")
        assert detail.json() == unit
        assert detail.headers["etag"] == answer.headers["etag"]

    async def test_the_least(self, athlete: Actor) -> None:
        unit = body_of(await athlete.client.post(UNITS, json={"name": "x"}), 201)
        assert (unit["exercises"], unit["description"]) == ([], None)

    @pytest.mark.parametrize(
        ("entry", "broken"),
        [
            (exercise(repsMin=None), {"repsMin": "missing"}),
            (exercise(mode="time"), {"targetTimeSeconds": "missing"}),
            (exercise(mode="distance"), {"targetDistanceKm": "missing"}),
            (exercise(mode="sets_only"), {"repsMin": "rule"}),
            (
                exercise(mode="sets_only", repsMax=5, targetTimeSeconds=1, targetDistanceKm=1),
                dict.fromkeys(("repsMin", "repsMax", "targetTimeSeconds", "targetDistanceKm"), "rule"),
            ),
            (exercise(repsMax=4), {"repsMax": "rule"}),
            (exercise(sets=0), {"sets": "range"}),
            (exercise(sets=101, restSeconds=-1), {"sets": "range", "restSeconds": "range"}),
            (exercise(sets=None), {"sets": "null"}),
            (exercise(mode="lift"), {"mode": "enum"}),
            (exercise(targetWeight=100_000), {"targetWeight": "range"}),
            (exercise(targetTimeSeconds=0), {"targetTimeSeconds": "range"}),
            (exercise(targetDistanceKm=0), {"targetDistanceKm": "range"}),
            (exercise(repsMax=32_768), {"repsMax": "range"}),
            (exercise(notes="x" * 10_001), {"notes": "length"}),
            (exercise(name=" "), {"exerciseName": "length"}),
            (exercise(supersetGroup=0), {"supersetGroup": "range"}),
            (exercise(id=1), {"id": "unknown"}),
            ({"mode": "reps", "repsMin": 5}, {"": "missing"}),
            ({"exerciseName": "x"}, {"mode": "missing"}),
        ],
    )
    async def test_each_broken_rule_is_named(
        self, athlete: Actor, connection: Connection, entry: dict[str, object], broken: dict[str, str]
    ) -> None:
        body = {"name": "", "exercises": [exercise(), entry]}
        found = broken_fields(await athlete.client.post(UNITS, json=body))
        paths = {f"exercises[1].{field}".rstrip("."): kind for field, kind in broken.items()}
        assert found == {"name": "length", **paths}
        assert await connection.fetchval("SELECT count(*) FROM training_units") == 0

    async def test_bounds_of_the_whole(self, athlete: Actor) -> None:
        body = {"name": "x", "exercises": [exercise()] * 101, "version": 3, "sharingStatus": "secret"}
        assert broken_fields(await athlete.client.post(UNITS, json=body)) == {
            "exercises": "length",
            "version": "unknown",
            "sharingStatus": "enum",
        }
        assert len((await make_unit(athlete, *[exercise()] * 100))["exercises"]) == 100

    async def test_a_name_is_taken_once(self, athlete: Actor, other_athlete: Actor) -> None:
        await make_unit(athlete, name="Push day")
        taken = await athlete.client.post(UNITS, json={"name": "push DAY"})
        assert problem(taken, 409)["detail"] == "You have a unit of this name."
        await make_unit(other_athlete, name="Push day")

    async def test_exercises_that_may_be_referred_to(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor, connection: Connection
    ) -> None:
        foreign = await create_custom(other_athlete)
        system = await create_system(superuser)
        archived = await create_custom(athlete)
        await athlete.client.post(f"/api/v1/exercises/{archived['id']}/archive")
        assert names(await make_unit(athlete, {"exerciseId": system["id"], "mode": "reps", "repsMin": 1})) == [
            system["name"]
        ]
        before = await everything(connection)
        for wrong in (foreign["id"], UNKNOWN_ID):
            body = {"name": "x", "exercises": [exercise(), {"exerciseId": wrong, "mode": "reps", "repsMin": 1}]}
            answer = await athlete.client.post(UNITS, json=body)
            assert problem(answer, 404)["detail"] == f"There is no such exercise: {wrong}."
        body = {"name": "x", "exercises": [exercise(), {"exerciseId": archived["id"], "mode": "reps", "repsMin": 1}]}
        assert broken_fields(await athlete.client.post(UNITS, json=body)) == {"exercises[1].exerciseId": "rule"}
        assert await everything(connection) == before


class TestReplace:
    async def test_what_is_read_can_be_put(self, athlete: Actor, connection: Connection) -> None:
        custom = await create_custom(athlete)
        unit = await make_unit(athlete, {"exerciseId": custom["id"], "mode": "reps", "repsMin": 1}, exercise())
        before = [tuple(entry) for entry in await rows(connection, unit)]
        again = body_of(await athlete.client.put(f"{UNITS}/{unit['id']}", json=unit), 200)
        assert {**again, "updatedAt": ""} == {**unit, "updatedAt": ""}
        assert [tuple(entry) for entry in await rows(connection, unit)] == before

    async def test_children_are_matched_by_id_else_by_place(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, *[exercise(name) for name in "abcd"])
        a, b, c, d = (item["id"] for item in unit["exercises"])
        body = {
            "name": unit["name"],
            "exercises": [exercise("C", id=c), exercise("B"), exercise("A", id=a), exercise("D"), exercise("E")],
        }
        replaced = body_of(await athlete.client.put(f"{UNITS}/{unit['id']}", json=body), 200)
        assert names(replaced) == ["C", "B", "A", "D", "E"]
        ids = [item["id"] for item in replaced["exercises"]]
        assert ids[:4] == [c, b, a, d]
        assert ids[4] not in {a, b, c, d}
        fewer = body_of(
            await athlete.client.put(f"{UNITS}/{unit['id']}", json={"name": "x", "exercises": [exercise("D", id=d)]}),
            200,
        )
        assert [(item["id"], item["orderIndex"]) for item in fewer["exercises"]] == [(d, 1)]

    async def test_ids_of_others_and_doubles_are_refused(self, athlete: Actor, connection: Connection) -> None:
        unit, other = await make_unit(athlete, exercise(), exercise()), await make_unit(athlete, exercise())
        before = await everything(connection)
        own, foreign = unit["exercises"][0]["id"], other["exercises"][0]["id"]
        body = {
            "name": "x",
            "exercises": [exercise(id=own), exercise(id=foreign), exercise(id=own), exercise(id=2**31 - 1)],
        }
        for method in ("PUT", "PATCH"):
            answer = await athlete.client.request(method, f"{UNITS}/{unit['id']}", json=body)
            assert broken_fields(answer) == {f"exercises[{place}].id": "rule" for place in (0, 1, 2, 3)}
        assert await everything(connection) == before

    async def test_what_is_absent(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, exercise(), description="x", sharingStatus="public")
        path = f"{UNITS}/{unit['id']}"
        assert broken_fields(await athlete.client.put(path, json={"name": "x"})) == {"exercises": "missing"}
        replaced = body_of(await athlete.client.put(path, json={"name": "x", "exercises": []}), 200)
        assert (replaced["description"], replaced["exercises"]) == (None, [])
        assert replaced["sharingStatus"] == "public"

    async def test_unknown_units_are_not_made(self, athlete: Actor) -> None:
        body = {"name": "x", "exercises": []}
        problem(await athlete.client.put(f"{UNITS}/{UNKNOWN_ID}", json=body), 404)


class TestChange:
    async def test_only_what_is_given(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, exercise(), description="x")
        changed = body_of(await athlete.client.patch(f"{UNITS}/{unit['id']}", json={"name": "Pull day"}), 200)
        assert changed == {**unit, "name": "Pull day", "updatedAt": changed["updatedAt"]}
        cleared = body_of(await athlete.client.patch(f"{UNITS}/{unit['id']}", json={"description": None}), 200)
        assert cleared["description"] is None
        arrays = body_of(
            await athlete.client.patch(f"{UNITS}/{unit['id']}", json={"exercises": [exercise("a"), exercise("b")]}), 200
        )
        assert names(arrays) == ["a", "b"]
        assert arrays["exercises"][0]["id"] == unit["exercises"][0]["id"]

    async def test_required_ones_are_not_cleared(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        body = {"name": None, "sharingStatus": None, "exercises": None}
        answer = await athlete.client.patch(f"{UNITS}/{unit['id']}", json=body)
        assert broken_fields(answer) == dict.fromkeys(body, "null")

    async def test_the_etag_moves_with_every_change(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, exercise())
        path = f"{UNITS}/{unit['id']}"
        child = f"{path}/exercises/{unit['exercises'][0]['id']}"
        tag = (await athlete.client.get(path)).headers["etag"]
        assert (await athlete.client.get(path, headers={"If-None-Match": tag})).status_code == 304
        for method, place, body in (
            ("PATCH", path, {"name": "x"}),
            ("PATCH", child, {"sets": 2}),
            ("POST", f"{path}/exercises", exercise()),
            ("PUT", path, {"name": "y", "exercises": []}),
        ):
            stale = await athlete.client.request(method, place, json=body, headers={"If-Match": '"0-owner"'})
            problem(stale, 412)
            answer = await athlete.client.request(method, place, json=body, headers={"If-Match": tag})
            assert answer.is_success, answer.text
            assert answer.headers["etag"] != tag
            tag = answer.headers["etag"]
        problem(await athlete.client.delete(path, headers={"If-Match": '"0-owner"'}), 412)
        assert (await athlete.client.delete(path, headers={"If-Match": tag})).status_code == 204

    async def test_the_etag_says_what_the_viewer_may_do(self, athlete: Actor, other_athlete: Actor) -> None:
        unit = await make_unit(athlete, sharingStatus="shared")
        tags = [(await athlete.client.get(f"{UNITS}/{unit['id']}")).headers["etag"]]
        for level in ("read", "write"):
            await grant(athlete, UNITS, unit, other_athlete, level)
            tags.append((await other_athlete.client.get(f"{UNITS}/{unit['id']}")).headers["etag"])
        assert len(set(tags)) == 3


class TestNames:
    async def test_snapshots_stay(self, athlete: Actor, connection: Connection) -> None:
        custom = await create_custom(athlete, name="My lift")
        unit = await make_unit(athlete, {"exerciseId": custom["id"], "mode": "reps", "repsMin": 1})
        path = f"/api/v1/exercises/user/{custom['id']}"
        body_of(await athlete.client.patch(path, json={"name": "My press"}), 200)
        body_of(await athlete.client.put(f"{UNITS}/{unit['id']}", json=unit), 200)
        child = f"{UNITS}/{unit['id']}/exercises/{unit['exercises'][0]['id']}"
        body_of(await athlete.client.patch(child, json={"sets": 3, "exerciseName": "My own words"}), 200)
        assert names(await read(athlete, UNITS, unit)) == ["My lift"]
        added = await athlete.client.post(
            f"{UNITS}/{unit['id']}/exercises", json={"exerciseId": custom["id"], "mode": "reps", "repsMin": 1}
        )
        assert body_of(added, 201)["exerciseName"] == "My press"
        await athlete.client.post(f"/api/v1/exercises/{custom['id']}/archive")
        kept = await read(athlete, UNITS, unit)
        assert names(kept) == ["My lift", "My press"]
        again = body_of(await athlete.client.put(f"{UNITS}/{unit['id']}", json=kept), 200)
        assert again["exercises"] == kept["exercises"]
        await connection.execute("DELETE FROM exercises WHERE name = 'My press'")
        gone = await read(athlete, UNITS, unit)
        assert names(gone) == ["My lift", "My press"]
        assert [item["exerciseId"] for item in gone["exercises"]] == [None, None]
        assert (
            body_of(await athlete.client.put(f"{UNITS}/{unit['id']}", json=gone), 200)["exercises"]
            == (gone["exercises"])
        )

    async def test_what_is_archived_stays_when_it_moves(self, athlete: Actor) -> None:
        custom, other = await create_custom(athlete), await create_custom(athlete)
        entry = {"exerciseId": custom["id"], "mode": "reps", "repsMin": 1}
        unit = await make_unit(athlete, entry, exercise("alone"))
        for archived in (custom, other):
            await athlete.client.post(f"/api/v1/exercises/{archived['id']}/archive")
        path = f"{UNITS}/{unit['id']}"
        moved = body_of(await athlete.client.patch(path, json={"exercises": [exercise("alone"), entry]}), 200)
        assert names(moved) == ["alone", custom["name"]]
        new = {**entry, "exerciseId": other["id"]}
        answer = await athlete.client.patch(path, json={"exercises": [exercise("alone"), entry, new]})
        assert broken_fields(answer) == {"exercises[2].exerciseId": "rule"}
        answer = await athlete.client.post(f"{path}/exercises", json=new)
        assert broken_fields(answer) == {"exerciseId": "rule"}

    async def test_another_exercise_brings_its_name(self, athlete: Actor) -> None:
        first, second = await create_custom(athlete), await create_custom(athlete)
        unit = await make_unit(athlete, {"exerciseId": first["id"], "mode": "reps", "repsMin": 1})
        child = f"{UNITS}/{unit['id']}/exercises/{unit['exercises'][0]['id']}"
        assert (
            body_of(await athlete.client.patch(child, json={"exerciseId": second["id"]}), 200)["exerciseName"]
            == (second["name"])
        )
        alone = body_of(await athlete.client.patch(child, json={"exerciseId": None}), 200)
        assert (alone["exerciseId"], alone["exerciseName"]) == (None, second["name"])

    async def test_who_may_write_adds_their_own_exercises(
        self, athlete: Actor, other_athlete: Actor, connection: Connection
    ) -> None:
        mine, theirs = await create_custom(athlete), await create_custom(other_athlete)
        unit = await make_unit(
            athlete, {"exerciseId": mine["id"], "mode": "reps", "repsMin": 1}, sharingStatus="shared"
        )
        await grant(athlete, UNITS, unit, other_athlete, "write")
        path = f"{UNITS}/{unit['id']}/exercises"
        for exercise_id in (mine["id"], theirs["id"]):
            body = {"exerciseId": exercise_id, "mode": "reps", "repsMin": 1}
            body_of(await other_athlete.client.post(path, json=body), 201)
        again = await read(athlete, UNITS, unit)
        assert names(again) == [mine["name"], mine["name"], theirs["name"]]
        body_of(await athlete.client.put(f"{UNITS}/{unit['id']}", json=again), 200)


class TestChildren:
    async def test_are_added_at_a_position(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, exercise("a"), exercise("b"))
        path = f"{UNITS}/{unit['id']}/exercises"
        for name, position in (("c", 1), ("d", 100), ("e", 2), ("f", None)):
            answer = await athlete.client.post(path, json=exercise(name, position=position))
            added = body_of(answer, 201)
            assert answer.headers["location"] == f"{UNITS}/{unit['id']}"
            assert added["exerciseName"] == name
        after = await read(athlete, UNITS, unit)
        assert names(after) == ["c", "e", "a", "b", "d", "f"]
        assert [item["orderIndex"] for item in after["exercises"]] == [1, 2, 3, 4, 5, 6]

    async def test_a_unit_is_full_with_100(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, *[exercise()] * 100)
        answer = await athlete.client.post(f"{UNITS}/{unit['id']}/exercises", json=exercise())
        assert broken_fields(answer) == {"body": "length"}

    async def test_are_changed_as_a_whole(self, athlete: Actor, connection: Connection) -> None:
        unit = await make_unit(athlete, exercise("a", targetWeight=20.5), exercise("b"))
        child = f"{UNITS}/{unit['id']}/exercises/{unit['exercises'][0]['id']}"
        before = await everything(connection)
        for body, broken in (
            ({"mode": "time"}, {"targetTimeSeconds": "missing"}),
            ({"repsMin": None}, {"repsMin": "missing"}),
            ({"repsMax": 4}, {"repsMax": "rule"}),
            ({"mode": "sets_only"}, {"repsMin": "rule"}),
            ({"sets": None, "position": 1}, {"sets": "null", "position": "unknown"}),
        ):
            assert broken_fields(await athlete.client.patch(child, json=body)) == broken
        assert await everything(connection) == before
        changed = body_of(
            await athlete.client.patch(child, json={"mode": "time", "repsMin": None, "targetTimeSeconds": 30}), 200
        )
        assert changed == {
            **unit["exercises"][0],
            "mode": "time",
            "repsMin": None,
            "targetTimeSeconds": 30,
        }
        assert body_of(await athlete.client.patch(child, json=changed), 200) == changed

    async def test_are_removed_and_the_gap_is_closed(self, athlete: Actor) -> None:
        unit = await make_unit(athlete, *[exercise(name) for name in "abc"])
        path = f"{UNITS}/{unit['id']}/exercises/{unit['exercises'][1]['id']}"
        assert (await athlete.client.delete(path)).status_code == 204
        problem(await athlete.client.delete(path), 404)
        problem(await athlete.client.patch(path, json={"sets": 1}), 404)
        after = await read(athlete, UNITS, unit)
        assert [(item["exerciseName"], item["orderIndex"]) for item in after["exercises"]] == [("a", 1), ("c", 2)]

    async def test_are_reordered(self, athlete: Actor, connection: Connection) -> None:
        unit = await make_unit(athlete, *[exercise(name) for name in "abcd"])
        path = f"{UNITS}/{unit['id']}/exercises/order"
        ids = [item["id"] for item in unit["exercises"]]
        turned = body_of(await athlete.client.put(path, json={"ids": ids[::-1]}), 200)
        assert names(turned) == ["d", "c", "b", "a"]
        before = await everything(connection)
        for wrong in (ids[:3], [*ids, ids[0]], [*ids[:3], 2**31 - 1], []):
            assert broken_fields(await athlete.client.put(path, json={"ids": wrong})) == {"ids": "rule"}
        assert await everything(connection) == before

    async def test_of_another_unit_are_not_here(self, athlete: Actor, connection: Connection) -> None:
        unit, other = await make_unit(athlete, exercise()), await make_unit(athlete, exercise())
        path = f"{UNITS}/{unit['id']}/exercises/{other['exercises'][0]['id']}"
        before = await everything(connection)
        problem(await athlete.client.patch(path, json={"sets": 9}), 404)
        problem(await athlete.client.delete(path), 404)
        assert await everything(connection) == before


class TestDelete:
    async def test_takes_everything_along(self, athlete: Actor, other_athlete: Actor, connection: Connection) -> None:
        unit = await make_unit(athlete, exercise(), sharingStatus="shared")
        await grant(athlete, UNITS, unit, other_athlete)
        body_of(await athlete.client.post(f"{UNITS}/{unit['id']}/link"), 201)
        assert (await athlete.client.delete(f"{UNITS}/{unit['id']}")).status_code == 204
        assert not await everything(connection)
        traces = await connection.fetch("SELECT user_id, kind, id::text FROM tombstone")
        assert [tuple(trace) for trace in traces] == [(athlete.id, "training_unit", unit["id"])]
        problem(await athlete.client.get(f"{UNITS}/{unit['id']}"), 404)
        problem(await athlete.client.delete(f"{UNITS}/{unit['id']}"), 404)


class TestCopy:
    async def test_takes_a_free_name(self, athlete: Actor) -> None:
        long = "x" * 100
        for name, copies in (("Push day", ["Push day (2)", "Push day (3)"]), (long, [f"{long[:96]} (2)"])):
            unit = await make_unit(athlete, exercise("a", notes="n", supersetGroup=2), name=name, description="d")
            for expected in copies:
                answer = await athlete.client.post(f"{UNITS}/{unit['id']}/copy")
                copy = body_of(answer, 201)
                assert answer.headers["location"] == f"{UNITS}/{copy['id']}"
                assert copy["name"] == expected
                assert copy["description"] == "d"
                [child] = copy["exercises"]
                assert child == {**unit["exercises"][0], "id": child["id"]}
                assert child["id"] != unit["exercises"][0]["id"]

    async def test_of_another_is_private_and_has_no_foreign_exercise(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor
    ) -> None:
        foreign, system = await create_custom(athlete), await create_system(superuser)
        own = await create_custom(other_athlete)
        unit = await make_unit(athlete, sharingStatus="shared", name="Push day")
        await grant(athlete, UNITS, unit, other_athlete, "write")
        for person, exercise_id in ((athlete, foreign["id"]), (athlete, system["id"]), (other_athlete, own["id"])):
            body = {"exerciseId": exercise_id, "mode": "reps", "repsMin": 1}
            body_of(await person.client.post(f"{UNITS}/{unit['id']}/exercises", json=body), 201)
        copy = body_of(await other_athlete.client.post(f"{UNITS}/{unit['id']}/copy"), 201)
        assert (copy["name"], copy["sharingStatus"], copy["access"]) == ("Push day", "private", "owner")
        assert copy["createdBy"] == str(other_athlete.id)
        assert [item["exerciseId"] for item in copy["exercises"]] == [None, system["id"], own["id"]]
        assert names(copy) == [foreign["name"], system["name"], own["name"]]
        problem(await athlete.client.get(f"{UNITS}/{copy['id']}"), 404)

    async def test_a_kept_answer_is_not_given_to_who_lost_access(self, athlete: Actor, other_athlete: Actor) -> None:
        unit = await make_unit(athlete, sharingStatus="public")
        key = {"Idempotency-Key": "copy-1"}
        path = f"{UNITS}/{unit['id']}/copy"
        first = await other_athlete.client.post(path, headers=key)
        again = await other_athlete.client.post(path, headers=key)
        assert (again.status_code, again.json()) == (201, first.json())
        await share(athlete, UNITS, unit, "private")
        problem(await other_athlete.client.post(path, headers=key), 404)


class TestExerciseRow:
    async def test_an_exercise_in_use_is_archived(self, athlete: Actor, connection: Connection) -> None:
        custom = await create_custom(athlete)
        await make_unit(athlete, {"exerciseId": custom["id"], "mode": "reps", "repsMin": 1})
        assert (await athlete.client.delete(f"/api/v1/exercises/{custom['id']}")).status_code == 204
        assert (await row(connection, custom["id"]))["is_active"] is False
