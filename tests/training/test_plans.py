import asyncio

import pytest

from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.catalogue.exercises import create_custom
from tests.training.templates import (
    PLANS,
    UNITS,
    UNKNOWN_ID,
    Connection,
    body_of,
    days,
    everything,
    exercise,
    grant,
    listed,
    make_plan,
    make_unit,
    read,
)

FIELDS = {
    "id",
    "name",
    "description",
    "sharingStatus",
    "createdBy",
    "access",
    "difficultyLevel",
    "units",
    "createdAt",
    "updatedAt",
}


class TestCreate:
    async def test_a_whole_document_with_gaps_between_days(self, athlete: Actor) -> None:
        push, pull = await make_unit(athlete, name="Push"), await make_unit(athlete, name="Pull")
        body = {
            "name": "Strength",
            "difficultyLevel": "expert",
            "units": [
                {"trainingUnitId": pull["id"], "dayNumber": 730},
                {"trainingUnitId": push["id"], "dayNumber": 1},
                {"trainingUnitId": pull["id"], "dayNumber": 1},
                {"trainingUnitId": push["id"], "dayNumber": 4},
                {"trainingUnitId": push["id"], "dayNumber": 1},
            ],
        }
        answer = await athlete.client.post(PLANS, json=body)
        plan = body_of(answer, 201)
        assert plan.keys() == FIELDS
        assert answer.headers["location"] == f"{PLANS}/{plan['id']}"
        assert days(plan) == [
            (push["id"], 1, 1),
            (pull["id"], 1, 2),
            (push["id"], 1, 3),
            (push["id"], 4, 1),
            (pull["id"], 730, 1),
        ]
        assert plan["units"][0].keys() == {"id", "trainingUnitId", "unitName", "dayNumber", "orderIndex"}
        assert plan["units"][1]["unitName"] == "Pull"
        assert await read(athlete, PLANS, plan) == plan

    async def test_the_least(self, athlete: Actor) -> None:
        plan = body_of(await athlete.client.post(PLANS, json={"name": "x", "difficultyLevel": "beginner"}), 201)
        assert plan["units"] == []
        taken = await athlete.client.post(PLANS, json={"name": "X", "difficultyLevel": "beginner"})
        assert problem(taken, 409)["detail"] == "You have a plan of this name."

    async def test_each_broken_rule_is_named(self, athlete: Actor, connection: Connection) -> None:
        unit = await make_unit(athlete)
        body = {
            "name": "x" * 101,
            "difficultyLevel": "easy",
            "units": [
                {"trainingUnitId": unit["id"], "dayNumber": 0},
                {"trainingUnitId": unit["id"], "dayNumber": 731, "unitName": "x"},
                {"trainingUnitId": "me", "dayNumber": 1.5},
                {},
            ],
        }
        assert broken_fields(await athlete.client.post(PLANS, json=body)) == {
            "name": "length",
            "difficultyLevel": "enum",
            "units[0].dayNumber": "range",
            "units[1].dayNumber": "range",
            "units[1].unitName": "unknown",
            "units[2].trainingUnitId": "pattern",
            "units[2].dayNumber": "type",
            "units[3].trainingUnitId": "missing",
            "units[3].dayNumber": "missing",
        }
        assert await connection.fetchval("SELECT count(*) FROM training_plans") == 0

    async def test_unknown_and_hidden_units(self, athlete: Actor, other_athlete: Actor, connection: Connection) -> None:
        hidden, mine = await make_unit(other_athlete), await make_unit(athlete)
        before = await everything(connection)
        for wrong in (hidden["id"], UNKNOWN_ID):
            units = [{"trainingUnitId": mine["id"], "dayNumber": 1}, {"trainingUnitId": wrong, "dayNumber": 1}]
            answer = await athlete.client.post(PLANS, json={"name": "x", "difficultyLevel": "beginner", "units": units})
            assert problem(answer, 404)["detail"] == f"There is no such unit: {wrong}."
        assert await everything(connection) == before

    async def test_a_foreign_unit_is_copied_once(self, athlete: Actor, other_athlete: Actor) -> None:
        custom = await create_custom(other_athlete)
        foreign = await make_unit(
            other_athlete,
            {"exerciseId": custom["id"], "mode": "reps", "repsMin": 1},
            name="Push",
            sharingStatus="public",
        )
        await make_unit(athlete, name="PUSH")
        plan = await make_plan(athlete, [(foreign, 1), (foreign, 3)])
        assert {unit["unitName"] for unit in plan["units"]} == {"Push (2)"}
        [copy_id] = {unit["trainingUnitId"] for unit in plan["units"]}
        copy = await read(athlete, UNITS, {"id": copy_id})
        assert (copy["access"], copy["sharingStatus"]) == ("owner", "private")
        assert [(item["exerciseId"], item["exerciseName"]) for item in copy["exercises"]] == [(None, custom["name"])]

    async def test_who_may_write_puts_copies_into_the_owners_account(
        self, athlete: Actor, other_athlete: Actor
    ) -> None:
        owners, writers = await make_unit(athlete, sharingStatus="public"), await make_unit(other_athlete)
        plan = await make_plan(athlete, [(await make_unit(athlete), 1)], sharingStatus="shared")
        await grant(athlete, PLANS, plan, other_athlete, "write")
        path = f"{PLANS}/{plan['id']}"
        seen = await read(other_athlete, PLANS, plan)
        again = body_of(await other_athlete.client.put(path, json=seen), 200)
        assert again["units"] == seen["units"]
        for unit in (owners, writers):
            body = {"trainingUnitId": unit["id"], "dayNumber": 1}
            body_of(await other_athlete.client.post(f"{path}/units", json=body), 201)
        added = [unit["trainingUnitId"] for unit in (await read(athlete, PLANS, plan))["units"]][1:]
        assert added[0] == owners["id"]
        assert added[1] not in {owners["id"], writers["id"]}
        copy = await read(athlete, UNITS, {"id": added[1]})
        assert (copy["name"], copy["access"]) == (writers["name"], "owner")
        assert [unit["id"] for unit in await listed(other_athlete, UNITS)] == [writers["id"]]


class TestReplace:
    async def test_what_is_read_can_be_put(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1), (unit, 9)], description="x")
        for method in ("PUT", "PATCH"):
            again = body_of(await athlete.client.request(method, f"{PLANS}/{plan['id']}", json=plan), 200)
            assert {**again, "updatedAt": ""} == {**plan, "updatedAt": ""}

    async def test_children_keep_their_ids_and_move(self, athlete: Actor, connection: Connection) -> None:
        a, b = await make_unit(athlete), await make_unit(athlete)
        plan = await make_plan(athlete, [(a, 1), (b, 1), (a, 2)])
        first, second, third = (unit["id"] for unit in plan["units"])
        body = {
            "name": "x",
            "difficultyLevel": "expert",
            "units": [
                {"id": third, "trainingUnitId": a["id"], "dayNumber": 1},
                {"trainingUnitId": a["id"], "dayNumber": 7},
                {"id": first, "trainingUnitId": b["id"], "dayNumber": 1},
            ],
        }
        replaced = body_of(await athlete.client.put(f"{PLANS}/{plan['id']}", json=body), 200)
        assert [unit["id"] for unit in replaced["units"]] == [third, first, second]
        assert days(replaced) == [(a["id"], 1, 1), (b["id"], 1, 2), (a["id"], 7, 1)]
        before = await everything(connection)
        other = await make_plan(athlete, [(a, 1)], name="other")
        body["units"] = [{"id": other["units"][0]["id"], "trainingUnitId": a["id"], "dayNumber": 1}]
        assert broken_fields(await athlete.client.put(f"{PLANS}/{plan['id']}", json=body)) == {"units[0].id": "rule"}
        await athlete.client.delete(f"{PLANS}/{other['id']}")
        assert await everything(connection) == before
        for missing in ("units", "difficultyLevel"):
            rest = {name: value for name, value in body.items() if name != missing}
            assert broken_fields(await athlete.client.put(f"{PLANS}/{plan['id']}", json=rest)) == {missing: "missing"}

    async def test_a_plan_is_full_with_1000(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        entry = {"trainingUnitId": unit["id"], "dayNumber": 1}
        plan = await make_plan(athlete, units=[entry] * 1_000)
        assert plan["units"][-1]["orderIndex"] == 1_000
        path = f"{PLANS}/{plan['id']}"
        assert broken_fields(await athlete.client.post(f"{path}/units", json=entry)) == {"body": "length"}
        answer = await athlete.client.patch(path, json={"units": [entry] * 1_001})
        assert broken_fields(answer) == {"units": "length"}


class TestChildren:
    async def test_are_added_to_a_day_at_a_position(self, athlete: Actor) -> None:
        units = [await make_unit(athlete) for _ in range(4)]
        a, b, c, d = (unit["id"] for unit in units)
        plan = await make_plan(athlete, [(units[0], 1), (units[0], 2)])
        path = f"{PLANS}/{plan['id']}/units"
        for unit_id, day, position, place in ((b, 1, None, 2), (c, 1, 1, 1), (d, 1, 99, 4), (b, 3, 5, 1)):
            body = {"trainingUnitId": unit_id, "dayNumber": day, "position": position}
            answer = await athlete.client.post(path, json=body)
            added = body_of(answer, 201)
            assert (added["trainingUnitId"], added["dayNumber"], added["orderIndex"]) == (unit_id, day, place)
            assert answer.headers["location"] == f"{PLANS}/{plan['id']}"
        assert days(await read(athlete, PLANS, plan)) == [
            (c, 1, 1),
            (a, 1, 2),
            (b, 1, 3),
            (d, 1, 4),
            (a, 2, 1),
            (b, 3, 1),
        ]

    async def test_are_moved_swapped_and_removed(self, athlete: Actor, other_athlete: Actor) -> None:
        a, b = await make_unit(athlete), await make_unit(athlete)
        foreign = await make_unit(other_athlete, sharingStatus="public")
        plan = await make_plan(athlete, [(a, 1), (b, 1), (a, 2)])
        path = f"{PLANS}/{plan['id']}/units/{plan['units'][0]['id']}"
        moved = body_of(await athlete.client.patch(path, json={"dayNumber": 2}), 200)
        assert (moved["id"], moved["dayNumber"], moved["orderIndex"]) == (plan["units"][0]["id"], 2, 2)
        assert days(await read(athlete, PLANS, plan)) == [(b["id"], 1, 1), (a["id"], 2, 1), (a["id"], 2, 2)]
        swapped = body_of(await athlete.client.patch(path, json={"trainingUnitId": foreign["id"]}), 200)
        assert swapped["trainingUnitId"] not in {a["id"], foreign["id"]}
        assert swapped["unitName"] == foreign["name"]
        same = body_of(await athlete.client.patch(path, json=swapped), 200)
        assert same == swapped
        first = f"{PLANS}/{plan['id']}/units/{plan['units'][2]['id']}"
        assert (await athlete.client.delete(first)).status_code == 204
        assert [item[1:] for item in days(await read(athlete, PLANS, plan))] == [(1, 1), (2, 1)]
        problem(await athlete.client.delete(first), 404)
        problem(await athlete.client.patch(first, json={"dayNumber": 1}), 404)
        problem(await athlete.client.patch(path, json={"trainingUnitId": UNKNOWN_ID}), 404)
        assert broken_fields(await athlete.client.patch(path, json={"dayNumber": 731, "trainingUnitId": None})) == {
            "dayNumber": "range",
            "trainingUnitId": "null",
        }

    async def test_are_reordered_within_and_between_days(self, athlete: Actor, connection: Connection) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1), (unit, 1), (unit, 5)])
        path = f"{PLANS}/{plan['id']}/units/order"
        a, b, c = (item["id"] for item in plan["units"])
        body = {"days": [{"dayNumber": 2, "ids": [c, a]}, {"dayNumber": 1, "ids": [b]}]}
        ordered = body_of(await athlete.client.put(path, json=body), 200)
        assert [(item["id"], item["dayNumber"], item["orderIndex"]) for item in ordered["units"]] == [
            (b, 1, 1),
            (c, 2, 1),
            (a, 2, 2),
        ]
        before = await everything(connection)
        for wrong in (
            [],
            [{"dayNumber": 1, "ids": [a, b]}],
            [{"dayNumber": 1, "ids": [a, b, c, a]}],
            [{"dayNumber": 1, "ids": [a, b, 2**31 - 1]}],
            [{"dayNumber": 1, "ids": [a, b]}, {"dayNumber": 1, "ids": [c]}],
        ):
            assert broken_fields(await athlete.client.put(path, json={"days": wrong})) == {"days": "rule"}
        assert await everything(connection) == before

    async def test_a_renamed_unit_is_a_new_version_of_its_plans(self, athlete: Actor) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1)])
        tag = (await athlete.client.get(f"{PLANS}/{plan['id']}")).headers["etag"]
        await athlete.client.patch(f"{UNITS}/{unit['id']}", json={"name": "Legs"})
        answer = await athlete.client.get(f"{PLANS}/{plan['id']}", headers={"If-None-Match": tag})
        assert answer.json()["units"][0]["unitName"] == "Legs"

    async def test_if_match_is_the_plans(self, athlete: Actor, connection: Connection) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(athlete, [(unit, 1)])
        path, child = f"{PLANS}/{plan['id']}", f"{PLANS}/{plan['id']}/units/{plan['units'][0]['id']}"
        before = await everything(connection)
        entry = {"trainingUnitId": unit["id"], "dayNumber": 1}
        for method, place, body in (
            ("POST", f"{path}/units", entry),
            ("PATCH", child, {"dayNumber": 3}),
            ("DELETE", child, None),
            ("PUT", f"{path}/units/order", {"days": [{"dayNumber": 3, "ids": [plan["units"][0]["id"]]}]}),
            ("PATCH", path, {"name": "x"}),
            ("DELETE", path, None),
        ):
            headers = {"If-Match": '"0-owner", W/"9-owner"'}
            problem(await athlete.client.request(method, place, json=body, headers=headers), 412)
        assert await everything(connection) == before


class TestDelete:
    async def test_a_unit_in_plans_stays_and_they_are_named(self, athlete: Actor, superuser: Actor) -> None:
        unit = await make_unit(athlete)
        plans = [await make_plan(athlete, [(unit, 1), (unit, 2)], name=name) for name in ("B plan", "A plan")]
        for actor in (athlete, superuser):
            answer = await actor.client.delete(f"{UNITS}/{unit['id']}")
            assert problem(answer, 409)["detail"] == "It is in these plans: A plan, B plan."
        for plan in plans:
            assert (await athlete.client.delete(f"{PLANS}/{plan['id']}")).status_code == 204
        assert (await read(athlete, UNITS, unit))["id"] == unit["id"]
        assert (await athlete.client.delete(f"{UNITS}/{unit['id']}")).status_code == 204


class TestCopy:
    async def test_ones_own_keeps_its_units(self, athlete: Actor, connection: Connection) -> None:
        unit = await make_unit(athlete)
        plan = await make_plan(
            athlete, [(unit, 1), (unit, 8)], name="Strength", description="d", sharingStatus="public"
        )
        answer = await athlete.client.post(f"{PLANS}/{plan['id']}/copy")
        copy = body_of(answer, 201)
        assert answer.headers["location"] == f"{PLANS}/{copy['id']}"
        assert (copy["name"], copy["sharingStatus"], copy["description"]) == ("Strength (2)", "private", "d")
        assert days(copy) == days(plan)
        assert await connection.fetchval("SELECT count(*) FROM training_units") == 1

    async def test_of_another_brings_its_units(self, athlete: Actor, other_athlete: Actor) -> None:
        push, pull = await make_unit(athlete, exercise("a"), name="Push"), await make_unit(athlete, name="Pull")
        await make_unit(other_athlete, name="push")
        plan = await make_plan(athlete, [(push, 1), (pull, 2), (push, 4)], sharingStatus="shared")
        path = f"{PLANS}/{plan['id']}/copy"
        problem(await other_athlete.client.post(path), 404)
        await grant(athlete, PLANS, plan, other_athlete)
        copy = body_of(await other_athlete.client.post(path), 201)
        assert (copy["name"], copy["access"]) == (plan["name"], "owner")
        assert [
            (item["unitName"], *item_days) for item, item_days in zip(copy["units"], _places(copy), strict=True)
        ] == [
            ("Push (2)", 1, 1),
            ("Pull", 2, 1),
            ("Push (2)", 4, 1),
        ]
        assert not {item[0] for item in days(copy)} & {push["id"], pull["id"]}
        first = await read(other_athlete, UNITS, {"id": copy["units"][0]["trainingUnitId"]})
        assert (first["access"], first["exercises"][0]["exerciseName"]) == ("owner", "a")

    @pytest.mark.parametrize("place", [UNITS, PLANS])
    async def test_many_at_once_have_names_of_their_own(self, athlete: Actor, place: str) -> None:
        template = await make_unit(athlete, name="x") if place == UNITS else await make_plan(athlete, name="x")
        answers = await asyncio.gather(*(athlete.client.post(f"{place}/{template['id']}/copy") for _ in range(5)))
        assert sorted(body_of(answer, 201)["name"] for answer in answers) == [f"x ({n})" for n in (2, 3, 4, 5, 6)]


def _places(plan: dict[str, list[dict[str, int]]]) -> list[tuple[int, int]]:
    return [(item["dayNumber"], item["orderIndex"]) for item in plan["units"]]
