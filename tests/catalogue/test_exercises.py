"""Exercises: reading, making, changing and ending them."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import httpx
import pytest

from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.catalogue.exercises import (
    EXERCISES,
    FIELDS,
    UNKNOWN_ID,
    Connection,
    create_custom,
    create_system,
    row,
    shipped_id,
    use_in_session,
    use_in_unit,
)
from tests.conftest import MakeApp
from tests.factories import CustomExerciseFactory, SystemExerciseFactory, unique


class TestRead:
    async def test_a_system_exercise_has_every_field(self, athlete: Actor, connection: Connection) -> None:
        answer = await athlete.client.get(f"{EXERCISES}/{await shipped_id(connection, 'clean-and-jerk')}")
        assert answer.status_code == 200
        exercise = answer.json()
        assert exercise.keys() == FIELDS
        assert exercise["name"] == "Clean and Jerk"
        assert exercise["aliases"][:2] == ["C&J", "Clean & Jerk"]
        assert exercise["category"] == "olympic weightlifting"
        assert (exercise["force"], exercise["mechanic"], exercise["defaultMode"]) == ("push", "compound", "reps")
        assert {entry["name"] for entry in exercise["primaryMuscles"]} == {"quadriceps", "shoulders"}
        assert all(
            entry.keys() == {"id", "name"}
            for field in ("primaryMuscles", "secondaryMuscles", "equipment", "tags")
            for entry in exercise[field]
        )
        assert (exercise["isActive"], exercise["createdBy"]) == (True, None)
        for field in ("createdAt", "updatedAt"):
            assert exercise[field].endswith("Z")
            datetime.fromisoformat(exercise[field])

    async def test_a_custom_exercise_has_no_slug(self, athlete: Actor) -> None:
        made = await create_custom(athlete)
        read = (await athlete.client.get(f"{EXERCISES}/{made['id']}")).json()
        assert read == made
        assert (read["slug"], read["aliases"], read["tags"]) == (None, [], [])
        assert read["createdBy"] == str(athlete.id)

    async def test_who_may(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor, superuser: Actor, client: httpx.AsyncClient
    ) -> None:
        made = await create_custom(athlete)
        url = f"{EXERCISES}/{made['id']}"
        for reader in (athlete, trainer, superuser):
            assert (await reader.client.get(url)).json() == made
        problem(await other_athlete.client.get(url), 403)
        problem(await client.get(url), 401)

    @pytest.mark.parametrize("exercise_id", [UNKNOWN_ID, "7", "not-an-id", "%00"])
    async def test_what_does_not_exist(self, athlete: Actor, exercise_id: str) -> None:
        problem(await athlete.client.get(f"{EXERCISES}/{exercise_id}"), 404)

    async def test_the_etag_tells_the_version_and_what_the_reader_may_do(
        self, athlete: Actor, trainer: Actor, superuser: Actor
    ) -> None:
        made = await create_custom(athlete)
        url = f"{EXERCISES}/{made['id']}"
        tags = {(await reader.client.get(url)).headers["etag"] for reader in (athlete, trainer, superuser)}
        assert len(tags) == 3
        mine = (await athlete.client.get(url)).headers["etag"]
        unchanged = await athlete.client.get(url, headers={"If-None-Match": f'"other", W/{mine}'})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json={"instructions": "New."})
        assert (await athlete.client.get(url, headers={"If-None-Match": mine})).status_code == 200

    async def test_a_known_etag_does_not_open_what_is_forbidden(self, athlete: Actor, other_athlete: Actor) -> None:
        made = await create_custom(athlete)
        problem(await other_athlete.client.get(f"{EXERCISES}/{made['id']}", headers={"If-None-Match": "*"}), 403)

    async def test_one_of_mine_takes_one_statement(self, athlete: Actor, statements: Any) -> None:
        url = f"{EXERCISES}/{(await create_custom(athlete))['id']}"
        await athlete.client.get(url)
        with statements() as sent:
            await athlete.client.get(url)
        assert len(sent) == 1

    async def test_pictures_carry_the_prefix_of_the_settings(self, superuser: Actor, make_app: MakeApp) -> None:
        made = await create_system(superuser, imagePathStart="/press/start.jpg")
        service = await make_app(CDN_URL="https://cdn.example.com/img/")
        client = service.client(cookies=superuser.client.cookies)
        shown = (await client.get(f"{EXERCISES}/{made['id']}")).json()
        assert shown["imagePathStart"] == "https://cdn.example.com/img/press/start.jpg"
        assert shown["imagePathEnd"] is None
        again = await client.patch(f"{EXERCISES}/system/{made['id']}", json=shown)
        assert again.json() == shown
        assert (await superuser.client.get(f"{EXERCISES}/{made['id']}")).json()["imagePathStart"] == "/press/start.jpg"


class TestFind:
    @pytest.mark.parametrize("path", ["/criteria", "/criteria/"])
    async def test_by_slug_among_the_systems(self, athlete: Actor, path: str) -> None:
        answer = await athlete.client.get(EXERCISES + path, params={"slug": "farmer-s-walk"})
        assert answer.json()["name"] == "Farmer's Walk"
        assert answer.headers["etag"]

    async def test_by_exact_name_among_mine(self, athlete: Actor, other_athlete: Actor) -> None:
        made = await create_custom(athlete, name=unique("Sandbag Lift"))
        params = {"name": made["name"]}
        assert (await athlete.client.get(f"{EXERCISES}/criteria", params=params)).json() == made
        problem(await other_athlete.client.get(f"{EXERCISES}/criteria", params=params), 404)
        problem(await athlete.client.get(f"{EXERCISES}/criteria", params={"name": made["name"][:-1]}), 404)
        problem(await athlete.client.get(f"{EXERCISES}/criteria", params={"name": "Plank"}), 404)

    async def test_an_archived_one_is_not_found(self, athlete: Actor) -> None:
        made = await create_custom(athlete)
        await athlete.client.post(f"{EXERCISES}/{made['id']}/archive")
        problem(await athlete.client.get(f"{EXERCISES}/criteria", params={"name": made["name"]}), 404)

    @pytest.mark.parametrize("query", ["", "?name=a&slug=b"])
    async def test_exactly_one_is_needed(self, athlete: Actor, query: str) -> None:
        problem(await athlete.client.get(f"{EXERCISES}/criteria{query}"), 400)

    @pytest.mark.parametrize("query", ["?slug=%25", "?slug='", "?name=%25", "?name=_", "?name=", "?slug=plank%20"])
    async def test_what_is_given_is_plain_text(self, athlete: Actor, query: str) -> None:
        await create_custom(athlete)
        problem(await athlete.client.get(f"{EXERCISES}/criteria{query}"), 404)

    @pytest.mark.parametrize(("query", "broken"), [("?name=a%00", {"name": "pattern"}), ("?id=1", {"id": "unknown"})])
    async def test_bad_parameters(self, athlete: Actor, query: str, broken: dict[str, str]) -> None:
        assert broken_fields(await athlete.client.get(f"{EXERCISES}/criteria{query}")) == broken

    async def test_one_of_mine_takes_one_statement(self, athlete: Actor, statements: Any) -> None:
        await create_custom(athlete, name="Sledge")
        url = f"{EXERCISES}/criteria?name=Sledge"
        await athlete.client.get(url)
        with statements() as sent:
            await athlete.client.get(url)
        assert len(sent) == 1


BAD_FIELDS: list[tuple[dict[str, object], dict[str, str]]] = [
    ({"name": "ab"}, {"name": "length"}),
    ({"name": "a" * 101}, {"name": "length"}),
    ({"name": " \t\n "}, {"name": "length"}),
    ({"name": "nul\x00l"}, {"name": "pattern"}),
    ({"name": None}, {"name": "null"}),
    ({"name": ["x"]}, {"name": "type"}),
    ({"primaryMuscles": []}, {"primaryMuscles": "length"}),
    ({"primaryMuscles": None}, {"primaryMuscles": "null"}),
    ({"primaryMuscles": 1}, {"primaryMuscles": "type"}),
    ({"primaryMuscles": ["1"]}, {"primaryMuscles[0]": "type"}),
    ({"primaryMuscles": [1, True]}, {"primaryMuscles[1]": "type"}),
    ({"primaryMuscles": [1, 0, 32768]}, {"primaryMuscles[1]": "range", "primaryMuscles[2]": "range"}),
    ({"primaryMuscles": [10**30]}, {"primaryMuscles[0]": "range"}),
    ({"primaryMuscles": [1, 2], "secondaryMuscles": [3, 2]}, {"secondaryMuscles": "rule"}),
    ({"equipment": [-1]}, {"equipment[0]": "range"}),
    ({"difficultyLevel": "hard"}, {"difficultyLevel": "enum"}),
    ({"difficultyLevel": None}, {"difficultyLevel": "null"}),
    ({"category": "olympic_weightlifting"}, {"category": "enum"}),
    ({"category": "Strength"}, {"category": "enum"}),
    ({"force": "sideways"}, {"force": "enum"}),
    ({"mechanic": 3}, {"mechanic": "type"}),
    ({"defaultMode": "sets"}, {"defaultMode": "enum"}),
    ({"instructions": "a" * 10_001}, {"instructions": "length"}),
    ({"instructions": "a\x00"}, {"instructions": "pattern"}),
    ({"muscles": [1]}, {"muscles": "unknown"}),
    ({"name": "ab", "category": "x", "force": 1}, {"name": "length", "category": "enum", "force": "type"}),
]

BAD_SYSTEM_FIELDS: list[tuple[dict[str, object], dict[str, str]]] = [
    ({"tags": []}, {"tags": "length"}),
    ({"tags": None}, {"tags": "null"}),
    ({"instructions": " "}, {"instructions": "length"}),
    ({"instructions": None}, {"instructions": "null"}),
    ({"aliases": ["Same", "same"]}, {"aliases": "rule"}),
    ({"aliases": ["ok", ""]}, {"aliases[1]": "length"}),
    ({"aliases": ["x" * 101]}, {"aliases[0]": "length"}),
    ({"imagePathStart": "/file.jpg"}, {"imagePathStart": "pattern"}),
    ({"imagePathStart": "/a/../b.jpg"}, {"imagePathStart": "pattern"}),
    ({"imagePathStart": "/A/b.jpg"}, {"imagePathStart": "pattern"}),
    ({"imagePathStart": "/a/b.gif"}, {"imagePathStart": "pattern"}),
    ({"imagePathStart": "/a/b.jpg\n"}, {"imagePathStart": "pattern"}),
    ({"imagePathEnd": "https://elsewhere.example/a/b.jpg"}, {"imagePathEnd": "pattern"}),
    ({"imagePathEnd": f"/a/{'b' * 512}.jpg"}, {"imagePathEnd": "pattern"}),
    ({"imagePathEnd": 1}, {"imagePathEnd": "type"}),
    ({"slug": "mine"}, {"slug": "unknown"}),
]


class TestCreateCustom:
    async def test_the_least(self, athlete: Actor, connection: Connection) -> None:
        body = CustomExerciseFactory.build(name="  Zercher\tSquat  ")
        answer = await athlete.client.post(f"{EXERCISES}/user", json=body)
        assert answer.status_code == 201
        made = answer.json()
        assert made.keys() == FIELDS
        assert made["name"] == "Zercher Squat"
        assert (made["defaultMode"], made["force"], made["instructions"]) == ("reps", None, None)
        assert answer.headers["location"] == f"{EXERCISES}/{made['id']}"
        assert (await athlete.client.get(answer.headers["location"])).headers["etag"] == answer.headers["etag"]
        stored = await row(connection, made["id"])
        assert (stored["created_by"], stored["is_system_default"], stored["slug"]) == (athlete.id, False, None)
        assert UUID(made["id"]).version == 7

    async def test_everything(self, athlete: Actor) -> None:
        body = CustomExerciseFactory.build(
            primaryMuscles=[3, 1, 3],
            secondaryMuscles=[2],
            equipment=[4],
            force="static",
            mechanic="isolation",
            defaultMode="time",
            category="olympic weightlifting",
            instructions="Hold.\r\nBreathe.",
        )
        made = (await athlete.client.post(f"{EXERCISES}/user", json=body)).json()
        assert [entry["id"] for entry in made["primaryMuscles"]] == [1, 3]
        assert [entry["id"] for entry in made["secondaryMuscles"]] == [2]
        assert [entry["id"] for entry in made["equipment"]] == [4]
        assert made["instructions"] == "Hold.\nBreathe."
        for field in ("force", "mechanic", "defaultMode", "category"):
            assert made[field] == cast("dict[str, Any]", body)[field]

    async def test_null_is_left_out(self, athlete: Actor) -> None:
        optional = ("secondaryMuscles", "equipment", "force", "mechanic", "defaultMode", "instructions")
        made = await create_custom(athlete, **dict.fromkeys(optional))
        assert (made["secondaryMuscles"], made["equipment"], made["defaultMode"]) == ([], [], "reps")

    async def test_a_name_is_taken_among_mine_alone(self, athlete: Actor, other_athlete: Actor) -> None:
        made = await create_custom(athlete)
        same = CustomExerciseFactory.build(name=made["name"].upper())
        assert problem(await athlete.client.post(f"{EXERCISES}/user", json=same), 409)["detail"]
        assert (await other_athlete.client.post(f"{EXERCISES}/user", json=same)).status_code == 201
        assert (
            await athlete.client.post(f"{EXERCISES}/user", json=CustomExerciseFactory.build(name="Plank"))
        ).status_code == 201

    async def test_an_archived_one_frees_its_name(self, athlete: Actor) -> None:
        made = await create_custom(athlete)
        await athlete.client.post(f"{EXERCISES}/{made['id']}/archive")
        await create_custom(athlete, name=made["name"])

    async def test_unknown_ids_are_all_named(self, athlete: Actor, connection: Connection) -> None:
        body = CustomExerciseFactory.build(primaryMuscles=[1, 901, 902], secondaryMuscles=[903], equipment=[904, 1])
        detail = problem(await athlete.client.post(f"{EXERCISES}/user", json=body), 404)["detail"]
        assert all(number in detail for number in ("901", "902", "903", "904"))
        assert await connection.fetchval("SELECT count(*) FROM exercises WHERE created_by = $1", athlete.id) == 0

    async def test_bad_bodies(self, athlete: Actor, connection: Connection) -> None:
        foreign = dict.fromkeys(("tags", "aliases", "slug"), "unknown")
        for changes, broken in (*BAD_FIELDS, ({"tags": [1], "aliases": ["x"], "slug": "x"}, foreign)):
            answer = await athlete.client.post(f"{EXERCISES}/user", json=CustomExerciseFactory.build(**changes))
            assert broken_fields(answer) == broken, changes
        assert await connection.fetchval("SELECT count(*) FROM exercises WHERE created_by = $1", athlete.id) == 0

    async def test_an_empty_body_names_what_is_missing(self, athlete: Actor) -> None:
        missing = dict.fromkeys(("name", "primaryMuscles", "difficultyLevel", "category"), "missing")
        assert broken_fields(await athlete.client.post(f"{EXERCISES}/user", json={})) == missing

    async def test_nobody_makes_one_without_signing_in(self, client: httpx.AsyncClient) -> None:
        problem(await client.post(f"{EXERCISES}/user", json=CustomExerciseFactory.build()), 401)


class TestCreateSystem:
    async def test_a_superuser_makes_one(self, superuser: Actor, athlete: Actor) -> None:
        body = SystemExerciseFactory.build(
            name="Fußheber à la “Größe” No. 3",
            aliases=["Toe Raise", " Tib  Raise "],
            imagePathStart="/toe-raise/0.jpg",
            imagePathEnd="/toe-raise/1.webp",
            tags=[2, 1],
        )
        answer = await superuser.client.post(f"{EXERCISES}/system", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert made["slug"] == "fussheber-a-la-grosse-no-3"
        assert made["aliases"] == ["Toe Raise", "Tib Raise"]
        assert (made["imagePathStart"], made["imagePathEnd"]) == ("/toe-raise/0.jpg", "/toe-raise/1.webp")
        assert [entry["id"] for entry in made["tags"]] == [1, 2]
        assert (made["createdBy"], made["isActive"]) == (None, True)
        assert (await athlete.client.get(answer.headers["location"])).json() == made

    @pytest.mark.parametrize("name", ["Plank", "PLANK", "  plank "])
    async def test_a_taken_name(self, superuser: Actor, name: str) -> None:
        problem(await superuser.client.post(f"{EXERCISES}/system", json=SystemExerciseFactory.build(name=name)), 409)

    async def test_a_taken_slug(self, superuser: Actor) -> None:
        problem(
            await superuser.client.post(f"{EXERCISES}/system", json=SystemExerciseFactory.build(name="Push... Up!")),
            409,
        )

    @pytest.mark.parametrize("name", ["日本語の名前", "!?!", "---"])
    async def test_a_name_without_a_slug(self, superuser: Actor, name: str) -> None:
        answer = await superuser.client.post(f"{EXERCISES}/system", json=SystemExerciseFactory.build(name=name))
        assert broken_fields(answer) == {"name": "rule"}

    async def test_a_name_whose_slug_would_be_too_long(self, superuser: Actor) -> None:
        made = await create_system(superuser, name="ß" * 100)
        assert made["slug"] == "s" * 100

    async def test_bad_bodies(self, superuser: Actor, connection: Connection) -> None:
        before = await connection.fetchval("SELECT count(*) FROM exercises")
        for changes, broken in (*BAD_FIELDS, *BAD_SYSTEM_FIELDS):
            answer = await superuser.client.post(f"{EXERCISES}/system", json=SystemExerciseFactory.build(**changes))
            assert broken_fields(answer) == broken, changes
        assert await connection.fetchval("SELECT count(*) FROM exercises") == before

    async def test_an_empty_body_names_what_is_missing(self, superuser: Actor) -> None:
        required = ("name", "primaryMuscles", "difficultyLevel", "category", "tags", "instructions")
        answer = await superuser.client.post(f"{EXERCISES}/system", json={})
        assert broken_fields(answer) == dict.fromkeys(required, "missing")

    async def test_unknown_ids_are_all_named(self, superuser: Actor) -> None:
        body = SystemExerciseFactory.build(primaryMuscles=[901], tags=[1, 902])
        detail = problem(await superuser.client.post(f"{EXERCISES}/system", json=body), 404)["detail"]
        assert "901" in detail
        assert "902" in detail

    async def test_only_superusers(self, athlete: Actor, trainer: Actor) -> None:
        for actor in (athlete, trainer):
            problem(await actor.client.post(f"{EXERCISES}/system", json=SystemExerciseFactory.build()), 403)


class TestChangeCustom:
    async def test_absent_keeps_null_clears_arrays_replace(self, athlete: Actor) -> None:
        made = await create_custom(
            athlete, secondaryMuscles=[2, 3], equipment=[1], force="pull", mechanic="compound", instructions="Old."
        )
        change = {"name": "  Renamed ", "secondaryMuscles": [3, 4], "force": None, "equipment": None}
        answer = await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json=change)
        assert answer.status_code == 200
        changed = answer.json()
        assert (changed["name"], changed["force"], changed["equipment"]) == ("Renamed", None, [])
        assert [entry["id"] for entry in changed["secondaryMuscles"]] == [3, 4]
        assert (changed["mechanic"], changed["instructions"]) == ("compound", "Old.")
        assert changed["primaryMuscles"] == made["primaryMuscles"]
        assert changed["updatedAt"] > made["updatedAt"]
        assert (await athlete.client.get(f"{EXERCISES}/{made['id']}")).headers["etag"] == answer.headers["etag"]

    async def test_what_was_read_can_be_sent_back(self, athlete: Actor, connection: Connection) -> None:
        made = await create_custom(athlete, secondaryMuscles=[2], equipment=[1], instructions="Same.")
        before = await row(connection, made["id"])
        answer = await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json=made)
        assert (answer.status_code, answer.json()) == (200, made)
        assert await row(connection, made["id"]) == before

    async def test_bad_bodies(self, athlete: Actor, connection: Connection) -> None:
        made = await create_custom(athlete)
        before = await row(connection, made["id"])
        merged = ({"secondaryMuscles": [1]}, {"secondaryMuscles": "rule"})
        for changes, broken in (*BAD_FIELDS, ({"defaultMode": None}, {"defaultMode": "null"}), merged):
            answer = await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json=changes)
            assert broken_fields(answer) == broken, changes
        assert await row(connection, made["id"]) == before

    async def test_unknown_ids_store_nothing(self, athlete: Actor, connection: Connection) -> None:
        made = await create_custom(athlete)
        before = await row(connection, made["id"])
        change = {"name": "Whatever", "equipment": [901]}
        assert (
            "901" in problem(await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json=change), 404)["detail"]
        )
        assert await row(connection, made["id"]) == before

    async def test_a_taken_name(self, athlete: Actor) -> None:
        first, second = await create_custom(athlete), await create_custom(athlete)
        change = {"name": first["name"]}
        problem(await athlete.client.patch(f"{EXERCISES}/user/{second['id']}", json=change), 409)
        assert (await athlete.client.get(f"{EXERCISES}/{second['id']}")).json() == second

    async def test_the_case_of_a_name_can_change(self, athlete: Actor) -> None:
        made = await create_custom(athlete)
        name = made["name"].upper()
        answer = await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json={"name": name})
        assert answer.json()["name"] == name

    async def test_for_anybody_but_the_owner_it_does_not_exist(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor, superuser: Actor, connection: Connection
    ) -> None:
        made = await create_custom(athlete)
        for actor in (other_athlete, trainer, superuser):
            problem(await actor.client.patch(f"{EXERCISES}/user/{made['id']}", json={"name": "Stolen"}), 404)
        assert (await row(connection, made["id"]))["name"] == made["name"]
        for exercise_id in (UNKNOWN_ID, await shipped_id(connection, "plank")):
            problem(await superuser.client.patch(f"{EXERCISES}/user/{exercise_id}", json={"name": "Nope"}), 404)


class TestChangeSystem:
    async def test_the_slug_follows_the_name(self, superuser: Actor) -> None:
        made = await create_system(superuser, aliases=["First", "Second"], imagePathStart="/a/b.png")
        name = unique("Renamed lift")
        change = {"name": name, "aliases": ["Second", "Third"], "imagePathStart": None, "tags": [2]}
        changed = (await superuser.client.patch(f"{EXERCISES}/system/{made['id']}", json=change)).json()
        assert changed["slug"] == name.lower().replace(" ", "-")
        assert changed["aliases"] == ["Second", "Third"]
        assert changed["imagePathStart"] is None
        assert [entry["id"] for entry in changed["tags"]] == [2]

    async def test_what_was_read_can_be_sent_back(self, superuser: Actor, connection: Connection) -> None:
        exercise_id = await shipped_id(connection, "barbell-back-squat")
        before = await row(connection, exercise_id)
        read = (await superuser.client.get(f"{EXERCISES}/{exercise_id}")).json()
        answer = await superuser.client.patch(f"{EXERCISES}/system/{exercise_id}", json=read)
        assert (answer.status_code, answer.json()) == (200, read)
        assert await row(connection, exercise_id) == before

    async def test_bad_bodies(self, superuser: Actor, connection: Connection) -> None:
        exercise_id = await shipped_id(connection, "plank")
        before = await row(connection, exercise_id)
        for change, broken in (*BAD_SYSTEM_FIELDS[:-1], ({"name": "!!!"}, {"name": "rule"})):
            answer = await superuser.client.patch(f"{EXERCISES}/system/{exercise_id}", json=change)
            assert broken_fields(answer) == broken, change
        assert await row(connection, exercise_id) == before

    async def test_a_taken_name(self, superuser: Actor, connection: Connection) -> None:
        exercise_id = await shipped_id(connection, "plank")
        problem(await superuser.client.patch(f"{EXERCISES}/system/{exercise_id}", json={"name": "side plank"}), 409)

    async def test_only_superusers_and_only_system_ones(
        self, athlete: Actor, trainer: Actor, superuser: Actor, connection: Connection
    ) -> None:
        exercise_id = await shipped_id(connection, "plank")
        before = await row(connection, exercise_id)
        for actor in (athlete, trainer):
            problem(await actor.client.patch(f"{EXERCISES}/system/{exercise_id}", json={"name": "Mine"}), 403)
        assert await row(connection, exercise_id) == before
        made = await create_custom(superuser)
        for other in (UNKNOWN_ID, made["id"]):
            problem(await superuser.client.patch(f"{EXERCISES}/system/{other}", json={"name": "Nope"}), 404)


class TestPreconditions:
    async def test_an_old_version_changes_nothing(self, athlete: Actor, connection: Connection) -> None:
        made = await create_custom(athlete)
        url = f"{EXERCISES}/{made['id']}"
        old = (await athlete.client.get(url)).headers["etag"]
        await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json={"instructions": "One."})
        before = await row(connection, made["id"])
        target = await shipped_id(connection, "plank")
        for method, path, body in (
            ("PATCH", f"{EXERCISES}/user/{made['id']}", {"instructions": "Two."}),
            ("DELETE", url, None),
            ("POST", f"{url}/archive", None),
            ("POST", f"{url}/restore", None),
            ("POST", f"{url}/merge", {"intoId": str(target)}),
        ):
            problem(await athlete.client.request(method, path, json=body, headers={"If-Match": old}), 412)
        assert await row(connection, made["id"]) == before

    @pytest.mark.parametrize("form", ["{}", "W/{}", '"1-other", {}', "*"])
    async def test_the_version_that_is_there_fits(self, athlete: Actor, form: str) -> None:
        made = await create_custom(athlete)
        tag = (await athlete.client.get(f"{EXERCISES}/{made['id']}")).headers["etag"]
        answer = await athlete.client.patch(
            f"{EXERCISES}/user/{made['id']}", json={"instructions": "New."}, headers={"If-Match": form.format(tag)}
        )
        assert answer.status_code == 200

    async def test_one_that_names_nothing_fits_nothing(self, athlete: Actor, connection: Connection) -> None:
        made = await create_custom(athlete)
        before = await row(connection, made["id"])
        answer = await athlete.client.patch(
            f"{EXERCISES}/user/{made['id']}", json={"instructions": "Lift."}, headers={"If-Match": ""}
        )
        problem(answer, 412)
        assert await row(connection, made["id"]) == before

    async def test_a_superuser_promotes_the_version_that_it_has_read(self, athlete: Actor, superuser: Actor) -> None:
        made = await create_custom(athlete)
        url = f"{EXERCISES}/{made['id']}"
        tag = (await superuser.client.get(url)).headers["etag"]
        await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json={"instructions": "Newer."})
        problem(await superuser.client.post(f"{url}/promote", headers={"If-Match": tag}), 412)
        tag = (await superuser.client.get(url)).headers["etag"]
        assert (await superuser.client.post(f"{url}/promote", headers={"If-Match": tag})).status_code == 200


class TestDelete:
    async def test_the_owner_deletes_what_nothing_uses(self, athlete: Actor, connection: Connection) -> None:
        made = await create_custom(athlete, equipment=[1], secondaryMuscles=[2])
        answer = await athlete.client.delete(f"{EXERCISES}/{made['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        problem(await athlete.client.get(f"{EXERCISES}/{made['id']}"), 404)
        problem(await athlete.client.delete(f"{EXERCISES}/{made['id']}"), 404)
        assert (
            await connection.fetchval(
                "SELECT count(*) FROM exercise_primary_muscles WHERE exercise_id = $1", UUID(made["id"])
            )
            == 0
        )

    @pytest.mark.parametrize("use", [use_in_session, use_in_unit])
    async def test_what_is_used_is_archived(self, athlete: Actor, connection: Connection, use: Any) -> None:
        made = await create_custom(athlete)
        await use(connection, athlete, made["id"])
        assert (await athlete.client.delete(f"{EXERCISES}/{made['id']}")).status_code == 204
        assert (await athlete.client.get(f"{EXERCISES}/{made['id']}")).json() == {
            **made,
            "isActive": False,
            "updatedAt": (await athlete.client.get(f"{EXERCISES}/{made['id']}")).json()["updatedAt"],
        }
        assert (await athlete.client.delete(f"{EXERCISES}/{made['id']}")).status_code == 204

    async def test_a_superuser_deletes_system_ones(
        self, superuser: Actor, athlete: Actor, connection: Connection
    ) -> None:
        unused, used = await create_system(superuser, aliases=["Gone soon"]), await create_system(superuser)
        await use_in_session(connection, athlete, used["id"])
        for made in (unused, used):
            assert (await superuser.client.delete(f"{EXERCISES}/{made['id']}")).status_code == 204
        problem(await superuser.client.get(f"{EXERCISES}/{unused['id']}"), 404)
        assert (await athlete.client.get(f"{EXERCISES}/{used['id']}")).json()["isActive"] is False

    async def test_nobody_else_may(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor, superuser: Actor, connection: Connection
    ) -> None:
        made = await create_custom(athlete)
        before = await row(connection, made["id"])
        for actor in (other_athlete, trainer, superuser):
            problem(await actor.client.delete(f"{EXERCISES}/{made['id']}"), 403)
        assert await row(connection, made["id"]) == before
        for actor in (athlete, trainer):
            problem(await actor.client.delete(f"{EXERCISES}/{await shipped_id(connection, 'plank')}"), 403)
        problem(await athlete.client.delete(f"{EXERCISES}/{UNKNOWN_ID}"), 404)


class TestArchiveAndRestore:
    async def test_there_and_back(self, athlete: Actor) -> None:
        made = await create_custom(athlete)
        url = f"{EXERCISES}/{made['id']}"
        for _ in range(2):
            archived = await athlete.client.post(f"{url}/archive")
            assert (archived.status_code, archived.json()["isActive"]) == (200, False)
        listed = (await athlete.client.get(EXERCISES, params={"scope": "user"})).json()["items"]
        assert listed == []
        for _ in range(2):
            restored = await athlete.client.post(f"{url}/restore")
            assert (restored.status_code, restored.json()["isActive"]) == (200, True)
        assert (await athlete.client.get(url)).headers["etag"] == restored.headers["etag"]

    async def test_nothing_is_written_when_it_is_so_already(self, athlete: Actor, connection: Connection) -> None:
        made = await create_custom(athlete)
        before = await row(connection, made["id"])
        await athlete.client.post(f"{EXERCISES}/{made['id']}/restore")
        assert await row(connection, made["id"]) == before

    async def test_a_name_that_was_taken_meanwhile(self, athlete: Actor) -> None:
        made = await create_custom(athlete)
        await athlete.client.post(f"{EXERCISES}/{made['id']}/archive")
        await create_custom(athlete, name=made["name"].lower())
        problem(await athlete.client.post(f"{EXERCISES}/{made['id']}/restore"), 409)
        assert (await athlete.client.get(f"{EXERCISES}/{made['id']}")).json()["isActive"] is False

    @pytest.mark.parametrize("action", ["archive", "restore"])
    async def test_who_may(
        self, athlete: Actor, other_athlete: Actor, trainer: Actor, superuser: Actor, action: str
    ) -> None:
        made, system = await create_custom(athlete), await create_system(superuser)
        for actor in (other_athlete, trainer, superuser):
            problem(await actor.client.post(f"{EXERCISES}/{made['id']}/{action}"), 403)
        for actor in (athlete, trainer):
            problem(await actor.client.post(f"{EXERCISES}/{system['id']}/{action}"), 403)
        assert (await superuser.client.post(f"{EXERCISES}/{system['id']}/{action}")).status_code == 200
        problem(await athlete.client.post(f"{EXERCISES}/{UNKNOWN_ID}/{action}"), 404)


class TestPromote:
    async def test_a_custom_exercise_becomes_the_systems(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor, connection: Connection
    ) -> None:
        made = await create_custom(athlete)
        reference = await use_in_session(connection, athlete, made["id"])
        answer = await superuser.client.post(f"{EXERCISES}/{made['id']}/promote")
        assert answer.status_code == 200
        promoted = answer.json()
        assert (promoted["createdBy"], promoted["name"]) == (None, made["name"])
        assert promoted["slug"] == made["name"].lower().replace(" ", "-")
        assert (await other_athlete.client.get(f"{EXERCISES}/{made['id']}")).json() == promoted
        problem(await athlete.client.patch(f"{EXERCISES}/user/{made['id']}", json={"name": "Mine again"}), 404)
        stored = await connection.fetchval(
            "SELECT exercise_id FROM training_session_exercises WHERE id = $1", reference
        )
        assert str(stored) == made["id"]

    async def test_a_change_afterwards_needs_what_a_system_exercise_needs(
        self, athlete: Actor, superuser: Actor
    ) -> None:
        made = await create_custom(athlete)
        await superuser.client.post(f"{EXERCISES}/{made['id']}/promote")
        url = f"{EXERCISES}/system/{made['id']}"
        missing = {"tags": "missing", "instructions": "missing"}
        assert broken_fields(await superuser.client.patch(url, json={"force": "pull"})) == missing
        complete = {"force": "pull", "tags": [1], "instructions": "Do it."}
        assert (await superuser.client.patch(url, json=complete)).status_code == 200

    async def test_a_taken_name_and_a_system_one(self, athlete: Actor, superuser: Actor, connection: Any) -> None:
        made = await create_custom(athlete, name="PLANK")
        problem(await superuser.client.post(f"{EXERCISES}/{made['id']}/promote"), 409)
        assert (await athlete.client.get(f"{EXERCISES}/{made['id']}")).json() == made
        problem(await superuser.client.post(f"{EXERCISES}/{await shipped_id(connection, 'plank')}/promote"), 409)
        problem(await superuser.client.post(f"{EXERCISES}/{UNKNOWN_ID}/promote"), 404)

    async def test_a_name_without_a_slug(self, athlete: Actor, superuser: Actor) -> None:
        made = await create_custom(athlete, name="日本語の名前")
        assert broken_fields(await superuser.client.post(f"{EXERCISES}/{made['id']}/promote")) == {"name": "rule"}

    async def test_only_superusers(self, athlete: Actor, trainer: Actor) -> None:
        made = await create_custom(athlete)
        for actor in (athlete, trainer):
            problem(await actor.client.post(f"{EXERCISES}/{made['id']}/promote"), 403)


class TestMerge:
    async def test_templates_and_history_follow_and_keep_their_names(
        self, athlete: Actor, connection: Connection
    ) -> None:
        made = await create_custom(athlete)
        target = await shipped_id(connection, "plank")
        done = await use_in_session(connection, athlete, made["id"])
        planned = await use_in_unit(connection, athlete, made["id"])
        before = await row(connection, target)
        answer = await athlete.client.post(f"{EXERCISES}/{made['id']}/merge", json={"intoId": str(target)})
        assert answer.status_code == 200
        assert answer.json()["id"] == str(target)
        problem(await athlete.client.get(f"{EXERCISES}/{made['id']}"), 404)
        for table, reference in (("training_session_exercises", done), ("training_unit_exercises", planned)):
            stored = await connection.fetchrow(
                f"SELECT exercise_id, exercise_name_snapshot FROM {table} WHERE id = $1", reference
            )
            assert stored is not None
            assert tuple(stored) == (target, made["name"])
        assert await connection.fetchval("SELECT version FROM training_units WHERE created_by = $1", athlete.id) > 1
        assert await row(connection, target) == before

    async def test_into_another_one_of_mine(self, athlete: Actor) -> None:
        first, second = await create_custom(athlete), await create_custom(athlete)
        answer = await athlete.client.post(f"{EXERCISES}/{first['id']}/merge", json={"intoId": second["id"]})
        assert answer.json() == second

    async def test_targets_that_are_none(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor, connection: Connection
    ) -> None:
        made, foreign = await create_custom(athlete), await create_custom(other_athlete)
        archived = await create_system(superuser)
        await superuser.client.post(f"{EXERCISES}/{archived['id']}/archive")
        url = f"{EXERCISES}/{made['id']}/merge"
        missing = problem(await athlete.client.post(url, json={"intoId": UNKNOWN_ID}), 404)
        hidden = problem(await athlete.client.post(url, json={"intoId": foreign["id"]}), 404)
        assert missing["detail"] == hidden["detail"]
        for into in (made["id"], archived["id"]):
            assert broken_fields(await athlete.client.post(url, json={"intoId": into})) == {"intoId": "rule"}
        assert (await athlete.client.get(f"{EXERCISES}/{made['id']}")).json() == made

    @pytest.mark.parametrize(
        ("body", "broken"),
        [
            ({}, {"intoId": "missing"}),
            ({"intoId": None}, {"intoId": "null"}),
            ({"intoId": "x"}, {"intoId": "pattern"}),
            ({"intoId": 7}, {"intoId": "type"}),
            ({"intoId": UNKNOWN_ID, "keep": True}, {"keep": "unknown"}),
        ],
    )
    async def test_a_bad_body(self, athlete: Actor, body: dict[str, object], broken: dict[str, str]) -> None:
        made = await create_custom(athlete)
        assert broken_fields(await athlete.client.post(f"{EXERCISES}/{made['id']}/merge", json=body)) == broken

    async def test_only_the_owner(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor, connection: Connection
    ) -> None:
        made = await create_custom(athlete)
        target = {"intoId": str(await shipped_id(connection, "plank"))}
        for actor in (other_athlete, superuser):
            problem(await actor.client.post(f"{EXERCISES}/{made['id']}/merge", json=target), 403)
        problem(await superuser.client.post(f"{EXERCISES}/{target['intoId']}/merge", json=target), 403)
        problem(await athlete.client.post(f"{EXERCISES}/{UNKNOWN_ID}/merge", json=target), 404)
