"""The reference lists: one implementation, three routes."""

from typing import Any

import httpx
import pytest

from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.catalogue.exercises import EXERCISES, Connection, create_custom, create_system
from tests.factories import unique

LISTS = {
    "/api/v1/catalogs/muscle-groups": ("muscle_groups", 17),
    "/api/v1/catalogs/equipment": ("equipment", 12),
    "/api/v1/catalogs/exercise-tags": ("exercise_tags", 25),
}

BAD_BODIES: list[tuple[dict[str, object], dict[str, str]]] = [
    ({}, {"name": "missing"}),
    ({"name": None}, {"name": "null"}),
    ({"name": 7}, {"name": "type"}),
    ({"name": "ab"}, {"name": "length"}),
    ({"name": " a "}, {"name": "length"}),
    ({"name": "a" * 101}, {"name": "length"}),
    ({"name": "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}" * 60}, {"name": "length"}),
    ({"name": "a\x00bc"}, {"name": "pattern"}),
    ({"name": "a\x07bc"}, {"name": "pattern"}),
    ({"name": "abc", "id": 5}, {"id": "unknown"}),
]

pytestmark = pytest.mark.parametrize("path", LISTS)


class TestList:
    async def test_it_is_a_bare_array_by_id(self, athlete: Actor, path: str) -> None:
        answer = await athlete.client.get(path)
        assert answer.status_code == 200
        entries = answer.json()
        assert len(entries) == LISTS[path][1]
        assert all(entry.keys() == {"id", "name"} and entry["name"] == entry["name"].lower() for entry in entries)
        assert [entry["id"] for entry in entries] == sorted(entry["id"] for entry in entries)

    @pytest.mark.parametrize("key", ["id", "name"])
    async def test_it_sorts(self, athlete: Actor, path: str, key: str) -> None:
        up = (await athlete.client.get(path, params={"orderBy": key})).json()
        down = (await athlete.client.get(path, params={"orderBy": key, "sortOrder": "desc"})).json()
        assert [entry[key] for entry in up] == sorted(entry[key] for entry in up)
        assert down == up[::-1]

    async def test_it_searches_in_any_case(self, athlete: Actor, path: str) -> None:
        every = (await athlete.client.get(path)).json()
        part = every[3]["name"][1:4]
        found = (await athlete.client.get(path, params={"searchString": f" {part.upper()} "})).json()
        assert found == [entry for entry in every if part in entry["name"]]

    async def test_what_is_searched_is_plain_text(self, athlete: Actor, path: str) -> None:
        for text in ("%", "_", "'", '"', "\\", "no such name"):
            answer = await athlete.client.get(path, params={"searchString": text})
            assert (answer.status_code, answer.json()) == (200, []), text

    async def test_bad_parameters(self, athlete: Actor, path: str) -> None:
        for query, field, kind in (
            ("orderBy=created", "orderBy", "enum"),
            ("sortOrder=up", "sortOrder", "enum"),
            ("searchString=a%00b", "searchString", "pattern"),
            (f"searchString={'a' * 201}", "searchString", "length"),
            ("page=1", "page", "unknown"),
        ):
            assert broken_fields(await athlete.client.get(f"{path}?{query}")) == {field: kind}, query

    async def test_nobody_sees_it_without_signing_in(self, client: httpx.AsyncClient, path: str) -> None:
        problem(await client.get(path), 401)

    async def test_it_comes_from_memory(self, athlete: Actor, path: str, statements: Any) -> None:
        entry = (await athlete.client.get(path)).json()[0]
        with statements() as sent:
            await athlete.client.get(path, params={"searchString": "a", "orderBy": "name"})
            await athlete.client.get(f"{path}/{entry['id']}")
        assert not sent


class TestRead:
    async def test_everyone_signed_in_reads_a_row(self, athlete: Actor, path: str) -> None:
        first = (await athlete.client.get(path)).json()[0]
        answer = await athlete.client.get(f"{path}/{first['id']}")
        assert (answer.status_code, answer.json()) == (200, first)

    async def test_what_does_not_exist(self, athlete: Actor, path: str) -> None:
        for entry_id in ("0", "-1", "32767", "32768", "9" * 20, "x"):
            problem(await athlete.client.get(f"{path}/{entry_id}"), 404)


class TestAdd:
    async def test_a_superuser_adds_a_row_in_lower_case(
        self, superuser: Actor, connection: Connection, path: str
    ) -> None:
        name = unique("Landmine")
        answer = await superuser.client.post(path, json={"name": f"  {name.upper()} "})
        assert answer.status_code == 201
        entry = answer.json()
        assert entry["name"] == name.lower()
        assert answer.headers["location"] == f"{path}/{entry['id']}"
        assert (await superuser.client.get(answer.headers["location"])).json() == entry
        stored = await connection.fetchval(f"SELECT name FROM {LISTS[path][0]} WHERE id = $1", entry["id"])
        assert stored == name.lower()

    async def test_a_taken_name(self, superuser: Actor, path: str) -> None:
        taken = (await superuser.client.get(path)).json()[0]["name"]
        assert problem(await superuser.client.post(path, json={"name": taken.upper()}), 409)["detail"]

    async def test_bad_bodies(self, superuser: Actor, path: str) -> None:
        before = (await superuser.client.get(path)).json()
        for body, broken in BAD_BODIES:
            assert broken_fields(await superuser.client.post(path, json=body)) == broken, body
        assert (await superuser.client.get(path)).json() == before


class TestChange:
    async def test_a_superuser_renames_a_row(self, superuser: Actor, path: str) -> None:
        entry = (await superuser.client.get(path)).json()[0]
        answer = await superuser.client.patch(f"{path}/{entry['id']}", json={**entry, "name": "New Name"})
        assert (answer.status_code, answer.json()) == (200, {"id": entry["id"], "name": "new name"})
        assert (await superuser.client.get(f"{path}/{entry['id']}")).json()["name"] == "new name"

    async def test_exercises_show_the_new_name_under_a_new_etag(
        self, superuser: Actor, athlete: Actor, path: str
    ) -> None:
        field = {"muscle": "primaryMuscles", "equipment": "equipment", "exercise": "tags"}[
            path.rpartition("/")[2].partition("-")[0]
        ]
        exercise = (await athlete.client.get(EXERCISES, params={"pageSize": 1})).json()["items"][0]
        url, entry = f"{EXERCISES}/{exercise['id']}", exercise[field][0]
        known = (await athlete.client.get(url)).headers["etag"]
        await superuser.client.patch(f"{path}/{entry['id']}", json={"name": "renamed"})
        answer = await athlete.client.get(url, headers={"If-None-Match": known})
        assert answer.status_code == 200
        assert answer.headers["etag"] != known
        assert {"id": entry["id"], "name": "renamed"} in answer.json()[field]

    async def test_an_empty_change_changes_nothing(self, superuser: Actor, path: str) -> None:
        entry = (await superuser.client.get(path)).json()[0]
        answer = await superuser.client.patch(f"{path}/{entry['id']}", json={})
        assert (answer.status_code, answer.json()) == (200, entry)

    async def test_a_taken_name(self, superuser: Actor, path: str) -> None:
        first, second = (await superuser.client.get(path)).json()[:2]
        problem(await superuser.client.patch(f"{path}/{first['id']}", json={"name": second["name"]}), 409)
        assert (await superuser.client.get(f"{path}/{first['id']}")).json() == first

    async def test_null_and_unknown_rows(self, superuser: Actor, path: str) -> None:
        entry = (await superuser.client.get(path)).json()[0]
        assert broken_fields(await superuser.client.patch(f"{path}/{entry['id']}", json={"name": None})) == {
            "name": "null"
        }
        problem(await superuser.client.patch(f"{path}/32767", json={"name": "whatever"}), 404)


class TestDelete:
    async def test_a_superuser_deletes_what_nobody_uses(self, superuser: Actor, path: str) -> None:
        entry = (await superuser.client.post(path, json={"name": unique("Spare")})).json()
        answer = await superuser.client.delete(f"{path}/{entry['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        problem(await superuser.client.get(f"{path}/{entry['id']}"), 404)
        problem(await superuser.client.delete(f"{path}/{entry['id']}"), 404)

    async def test_what_is_in_use_stays(self, superuser: Actor, path: str) -> None:
        entry = (await superuser.client.get(path)).json()[0]
        assert problem(await superuser.client.delete(f"{path}/{entry['id']}"), 409)["detail"]
        assert (await superuser.client.get(f"{path}/{entry['id']}")).json() == entry

    async def test_one_use_is_enough(self, superuser: Actor, athlete: Actor, path: str) -> None:
        entry = (await superuser.client.post(path, json={"name": unique("Used once")})).json()
        if path.endswith("tags"):
            await create_system(superuser, tags=[entry["id"]])
        else:
            field = "secondaryMuscles" if path.endswith("groups") else "equipment"
            await create_custom(athlete, **{field: [entry["id"]]})
        problem(await superuser.client.delete(f"{path}/{entry['id']}"), 409)


async def test_only_superusers_write(athlete: Actor, trainer: Actor, path: str) -> None:
    before = (await athlete.client.get(path)).json()
    row = f"{path}/{before[0]['id']}"
    for actor in (athlete, trainer):
        for method, url in (("POST", path), ("PATCH", row), ("DELETE", row)):
            problem(await actor.client.request(method, url, json={"name": "whatever"}), 403)
    assert (await athlete.client.get(path)).json() == before
