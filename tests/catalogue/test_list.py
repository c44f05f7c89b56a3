"""The list of exercises: filters, order, pages and search."""

from typing import Any

import httpx
import pytest

from app.domain.catalogue.names import fold
from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.catalogue.exercises import EXERCISES, IN_LISTS, Connection, create_custom, create_system
from tests.conftest import MakeApp
from tests.factories import unique


async def listed(actor: Actor, **params: Any) -> list[dict[str, Any]]:
    """All items of a list that fits a page."""
    answer = await actor.client.get(EXERCISES, params={"pageSize": 100, **params})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def names(actor: Actor, **params: Any) -> list[str]:
    """The names in a list."""
    return [exercise["name"] for exercise in await listed(actor, **params)]


class TestPages:
    async def test_a_page_and_the_total(self, athlete: Actor, connection: Connection) -> None:
        total = await connection.fetchval("SELECT count(*) FROM exercises")
        page = (await athlete.client.get(EXERCISES)).json()
        assert page.keys() == {"items", "total", "limit", "offset"}
        assert (len(page["items"]), page["total"], page["limit"], page["offset"]) == (20, total, 20, 0)
        assert all(exercise.keys() == IN_LISTS for exercise in page["items"])

    async def test_whole_exercises_when_wanted(self, athlete: Actor, superuser: Actor, make_app: MakeApp) -> None:
        made = await create_system(superuser, imagePathStart="/press/start.png", imagePathEnd="/press/end.png")
        service = await make_app(CDN_URL="https://cdn.example.com")
        client = service.client(cookies=athlete.client.cookies)
        whole = (await client.get(f"{EXERCISES}/{made['id']}")).json()
        params = {"searchString": made["name"], "pageSize": 1}
        brief = (await client.get(EXERCISES, params=params)).json()
        full = (await client.get(EXERCISES, params={**params, "fields": "full"})).json()
        assert full == {**brief, "items": [whole]}
        assert brief["items"] == [{name: whole[name] for name in IN_LISTS}]
        assert whole["imagePathEnd"] == "https://cdn.example.com/press/end.png"

    async def test_pages_follow_each_other_by_name(self, athlete: Actor) -> None:
        first = (await athlete.client.get(EXERCISES, params={"pageSize": 100})).json()
        found = [exercise["name"] for exercise in first["items"]]
        number = 1
        while len(found) < first["total"]:
            number += 1
            page = (await athlete.client.get(EXERCISES, params={"pageSize": 100, "currentPage": number})).json()
            assert (page["total"], page["offset"]) == (first["total"], len(found))
            found += [exercise["name"] for exercise in page["items"]]
            assert len(page["items"]) == 100 or len(found) == first["total"]
        assert found == sorted(found, key=fold)
        assert len(found) == len(set(found)) == first["total"]
        beyond = (await athlete.client.get(EXERCISES, params={"pageSize": 100, "currentPage": number + 1})).json()
        assert (beyond["items"], beyond["total"], beyond["offset"]) == ([], first["total"], number * 100)

    async def test_bad_parameters(self, athlete: Actor) -> None:
        for query, field, kind in (
            ("pageSize=0", "pageSize", "range"),
            ("pageSize=101", "pageSize", "range"),
            ("currentPage=0", "currentPage", "range"),
            ("currentPage=101&pageSize=100", "currentPage", "range"),
            ("currentPage=10001", "currentPage", "range"),
            ("currentPage=one", "currentPage", "type"),
            ("scope=mine", "scope", "enum"),
            ("orderBy=updatedAt", "orderBy", "enum"),
            ("orderBy=name;drop", "orderBy", "enum"),
            ("sortOrder=down", "sortOrder", "enum"),
            ("primaryMuscles=0", "primaryMuscles", "range"),
            ("primaryMuscles=1&primaryMuscles=32768", "primaryMuscles", "range"),
            ("secondaryMuscles=-1", "secondaryMuscles", "range"),
            ("equipment=32768", "equipment", "range"),
            ("tags=home", "tags", "type"),
            ("category=yoga", "category", "enum"),
            ("difficultyLevel=Beginner", "difficultyLevel", "enum"),
            ("force=gravity", "force", "enum"),
            ("mechanic=", "mechanic", "enum"),
            ("includeInactive=perhaps", "includeInactive", "type"),
            ("searchString=a%00", "searchString", "pattern"),
            (f"searchString={'a' * 201}", "searchString", "length"),
            ("fields=all", "fields", "enum"),
            ("muscle=1", "muscle", "unknown"),
        ):
            assert broken_fields(await athlete.client.get(f"{EXERCISES}?{query}")) == {field: kind}, query

    @pytest.mark.parametrize("name", ["currentPage", "pageSize", "equipment", "tags"])
    async def test_huge_numbers(self, athlete: Actor, name: str) -> None:
        assert broken_fields(await athlete.client.get(EXERCISES, params={name: "9" * 30})) == {name: "range"}

    async def test_nobody_lists_without_signing_in(self, client: httpx.AsyncClient) -> None:
        problem(await client.get(EXERCISES), 401)

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "?searchString=bech%20pres",
            "?primaryMuscles=1&tags=1&category=strength&orderBy=createdAt&sortOrder=desc",
            "?fields=full&equipment=1",
        ],
    )
    async def test_it_takes_one_statement(self, athlete: Actor, statements: Any, query: str) -> None:
        await athlete.client.get(EXERCISES + query)
        with statements() as sent:
            await athlete.client.get(EXERCISES + query)
        assert len(sent) == 1


class TestScope:
    async def test_whose_exercises(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor, superuser: Actor
    ) -> None:
        mine, foreign = await create_custom(athlete), await create_custom(other_athlete)
        for scope, expected in (("user", {True}), ("system", {False}), ("all", {True, False})):
            assert {
                exercise["createdBy"] == str(athlete.id)
                for exercise in await listed(athlete, scope=scope, orderBy="createdAt", sortOrder="desc")
            } == expected
        assert [exercise["id"] for exercise in await listed(athlete, scope="user")] == [mine["id"]]
        for reader in (trainer, superuser):
            ids = {exercise["id"] for exercise in await listed(reader, searchString=foreign["name"])}
            assert foreign["id"] not in ids

    async def test_archived_ones_only_when_wanted_and_mine(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor
    ) -> None:
        stem = unique("Archived")
        for actor in (athlete, other_athlete):
            made = await create_custom(actor, name=f"{stem} {actor.name}")
            await actor.client.post(f"{EXERCISES}/{made['id']}/archive")
        system = await create_system(superuser, name=f"{stem} system")
        await superuser.client.post(f"{EXERCISES}/{system['id']}/archive")
        assert stem not in " ".join(await names(athlete, searchString=stem))
        found = [name for name in await names(athlete, searchString=stem, includeInactive=True) if stem in name]
        assert found == [f"{stem} Ada"]
        assert await names(athlete, scope="user", includeInactive=True) == [f"{stem} Ada"]
        assert f"{stem} system" not in await names(athlete, scope="system", includeInactive=True, searchString=stem)


class TestFilters:
    @pytest.mark.parametrize("field", ["primaryMuscles", "secondaryMuscles", "equipment", "tags"])
    async def test_ids_of_one_list_are_alternatives(self, athlete: Actor, field: str) -> None:
        ids = {3, 5}
        found = await listed(athlete, **{field: sorted(ids)})
        assert found
        assert all(ids & {entry["id"] for entry in exercise[field]} for exercise in found)
        counts = [len(await listed(athlete, **{field: entry_id})) for entry_id in ids]
        assert max(counts) <= len(found) <= sum(counts)

    @pytest.mark.parametrize(
        ("field", "values"),
        [
            ("category", ["olympic weightlifting"]),
            ("category", ["cardio", "stretching"]),
            ("difficultyLevel", ["expert"]),
            ("difficultyLevel", ["beginner", "expert"]),
            ("force", ["static"]),
            ("mechanic", ["isolation"]),
        ],
    )
    async def test_words_are_alternatives(self, athlete: Actor, field: str, values: list[str]) -> None:
        assert {exercise[field] for exercise in await listed(athlete, **{field: values})} == set(values)

    async def test_different_filters_hold_together(self, athlete: Actor) -> None:
        found = await listed(athlete, category="strength", difficultyLevel="beginner", equipment=6, searchString="row")
        everything = {exercise["id"] for exercise in await listed(athlete, searchString="row")}
        assert found
        assert all(
            exercise["category"] == "strength"
            and exercise["difficultyLevel"] == "beginner"
            and 6 in [entry["id"] for entry in exercise["equipment"]]
            for exercise in found
        )
        assert {exercise["id"] for exercise in found} < everything

    async def test_an_id_that_nothing_has_finds_nothing(self, athlete: Actor) -> None:
        page = (await athlete.client.get(EXERCISES, params={"tags": 32767})).json()
        assert (page["items"], page["total"]) == ([], 0)


class TestOrder:
    async def test_names_are_compared_folded(self, athlete: Actor) -> None:
        for name in ("zz press", "Éa press", "ea prest", "EA PRESR"):
            await create_custom(athlete, name=name)
        assert await names(athlete, scope="user") == ["EA PRESR", "Éa press", "ea prest", "zz press"]
        assert await names(athlete, scope="user", sortOrder="desc") == ["zz press", "ea prest", "Éa press", "EA PRESR"]

    async def test_levels_are_in_their_own_order_and_ties_by_id(self, athlete: Actor) -> None:
        made = [
            await create_custom(athlete, difficultyLevel=level)
            for level in ("expert", "beginner", "intermediate", "beginner")
        ]
        expected = [made[number]["id"] for number in (1, 3, 2, 0)]
        params = {"scope": "user", "orderBy": "difficultyLevel"}
        assert [exercise["id"] for exercise in await listed(athlete, **params)] == expected
        expected = [made[number]["id"] for number in (0, 2, 1, 3)]
        assert [exercise["id"] for exercise in await listed(athlete, **params, sortOrder="desc")] == expected

    async def test_newest_first(self, athlete: Actor) -> None:
        made = [await create_custom(athlete) for _ in range(3)]
        found = await listed(athlete, scope="user", orderBy="createdAt", sortOrder="desc")
        assert [exercise["id"] for exercise in found] == [exercise["id"] for exercise in reversed(made)]

    async def test_a_wanted_order_goes_before_the_best_match(self, athlete: Actor) -> None:
        found = await names(athlete, searchString="squat", orderBy="name")
        assert found == sorted(found, key=lambda name: name.lower().replace("-", " "))
