"""Every error of every layer is a problem document."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from app.logs import writer
from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.conftest import MakeApp

EXERCISES = "/api/v1/exercises"


class TestUnknownRoutes:
    @pytest.mark.parametrize(
        "path", ["/", "/nothing", "/api/v1/nothing", "/api/v2/exercises", "/api/v1/exercises/x/y/z"]
    )
    async def test_are_404(self, client: httpx.AsyncClient, path: str) -> None:
        problem(await client.get(path), 404)

    async def test_a_path_parameter_of_another_type_is_404(self, athlete: Actor) -> None:
        problem(await athlete.client.get(f"{EXERCISES}/not-a-uuid"), 404)

    @pytest.mark.parametrize("child", ["0", "-1", "1_000", "10000000000000000000", "9" * 5000, "٣"])
    async def test_an_id_that_can_not_exist_is_a_client_error(self, athlete: Actor, child: str) -> None:
        answer = await athlete.client.delete(f"/api/v1/training-sessions/{uuid4()}/exercises/{child}")
        assert problem(answer, answer.status_code)["status"] in {404, 422}

    async def test_what_does_not_exist_and_what_is_hidden_are_told_alike(
        self, athlete: Actor, other_athlete: Actor
    ) -> None:
        hidden = (await other_athlete.client.post("/api/v1/training-sessions", json={})).json()["id"]
        answers = [
            problem(await athlete.client.get(f"/api/v1/training-sessions/{session}"), 404)
            for session in (hidden, uuid4())
        ]
        for body in answers:
            del body["instance"], body["requestId"]
        assert answers[0] == answers[1]


class TestMethods:
    async def test_a_wrong_method_is_405_and_says_which_are_right(self, athlete: Actor) -> None:
        answer = await athlete.client.put("/api/v1/access/me", json={})
        problem(answer, 405)
        assert {"GET", "PATCH", "DELETE"} <= set(answer.headers["allow"].replace(" ", "").split(","))

    async def test_options_says_which_are_right(self, client: httpx.AsyncClient) -> None:
        answer = await client.options(EXERCISES)
        assert answer.status_code == 204
        assert "GET" in answer.headers["allow"]

    @pytest.mark.parametrize(
        ("path", "methods"),
        [
            ("/api/v1/access/me", "DELETE, GET, HEAD, OPTIONS, PATCH"),
            ("/api/v1/access/logout", "OPTIONS, POST"),
            ("/api/v1/training-sessions", "GET, HEAD, OPTIONS, POST"),
            (f"/api/v1/training-sessions/{UUID(int=1)}", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
            (f"/api/v1/training-sessions/{UUID(int=1)}/exercises/1", "DELETE, OPTIONS, PATCH"),
            ("/api/v1/catalogs/equipment/1", "DELETE, GET, HEAD, OPTIONS, PATCH"),
            ("/ping", "GET, HEAD, OPTIONS"),
        ],
    )
    async def test_both_name_every_method_of_the_path(self, client: httpx.AsyncClient, path: str, methods: str) -> None:
        assert (await client.options(path)).headers.get_list("allow") == [methods]
        assert (await client.request("TRACE", path)).headers.get_list("allow") == [methods]

    @pytest.mark.parametrize("path", ["/ping", "/health", "/api/v1/access/me", EXERCISES])
    async def test_head_is_get_without_the_body(self, athlete: Actor, path: str) -> None:
        full, head = await athlete.client.get(path), await athlete.client.head(path)
        assert head.status_code == full.status_code == 200
        assert head.content == b""
        assert head.headers["content-type"] == full.headers["content-type"]
        assert head.headers["content-length"] == full.headers["content-length"]

    async def test_head_of_what_only_takes_post_is_405(self, athlete: Actor) -> None:
        answer = await athlete.client.head("/api/v1/access/logout")
        assert answer.status_code == 405
        assert "POST" in answer.headers["allow"]

    async def test_an_unknown_method_is_405(self, client: httpx.AsyncClient) -> None:
        problem(await client.request("BREW", EXERCISES), 405)


class TestNobody:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/v1/access/me"),
            ("GET", EXERCISES),
            ("POST", f"{EXERCISES}/user"),
            ("GET", "/api/v1/training-sessions"),
            ("GET", "/api/v1/users"),
            ("GET", "/api/v1/roles"),
            ("GET", "/api/v1/catalogs/equipment"),
        ],
    )
    async def test_is_401_before_anything_else_is_looked_at(
        self, client: httpx.AsyncClient, method: str, path: str
    ) -> None:
        answer = await client.request(method, path, params={"nonsense": "1"}, content=b"{")
        problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")


class TestUnhandled:
    async def test_is_500_tells_nothing_and_is_logged_with_its_traceback(
        self,
        athlete: Actor,
        connection: "asyncpg.Connection[asyncpg.Record]",
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        await connection.execute("ALTER TABLE equipment RENAME TO equipment_away")
        try:
            answer = await athlete.client.get("/api/v1/catalogs/equipment")
        finally:
            await connection.execute("ALTER TABLE equipment_away RENAME TO equipment")
        body = problem(answer, 500)
        assert "equipment" not in body["detail"]
        writer.flush()
        log = capfd.readouterr().err
        assert body["requestId"] in log
        assert "Traceback" in log


class TestBodies:
    """What a body must be, on one route for all."""

    async def _send(self, athlete: Actor, body: bytes, **headers: str) -> httpx.Response:
        return await athlete.client.post(
            f"{EXERCISES}/user", content=body, headers={"Content-Type": "application/json", **headers}
        )

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"nonsense",
            b'{"name": NaN}',
            b'{"name": Infinity}',
            b'{"name": "\\ud800"}',
            b'{"name": "\xff"}',
            b"\xff\xfe{\x00}\x00",
            b'{"name": "a"} trailing',
            b"[" * 101 + b"]" * 101,
            b"[" * 100_000,
            b'{"a":' * 500 + b"1" + b"}" * 500,
        ],
        ids=repr,
    )
    async def test_what_is_not_json_is_400(self, athlete: Actor, body: bytes) -> None:
        problem(await self._send(athlete, body), 400)

    @pytest.mark.parametrize("body", [b"", b"null", b"1", b'"text"', b"[]", b"[[]]"])
    async def test_another_type_than_an_object_is_422(self, athlete: Actor, body: bytes) -> None:
        assert broken_fields(await self._send(athlete, body)).keys() == {"body"}

    @pytest.mark.parametrize(
        "media_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "image/png"]
    )
    async def test_another_media_type_is_415(self, athlete: Actor, media_type: str) -> None:
        answer = await athlete.client.post(f"{EXERCISES}/user", content=b"{}", headers={"Content-Type": media_type})
        problem(answer, 415)

    @pytest.mark.parametrize(
        "media_type",
        ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"],
    )
    async def test_json_by_any_of_its_names_is_read(self, athlete: Actor, media_type: str) -> None:
        answer = await athlete.client.patch(
            "/api/v1/access/me", content=b'{"name": "Ada L."}', headers={"Content-Type": media_type}
        )
        assert answer.status_code == 200, answer.text

    async def test_every_broken_field_is_named(self, athlete: Actor) -> None:
        answer = await athlete.client.post(
            f"{EXERCISES}/user",
            json={
                "name": "ab",
                "primaryMuscles": ["one", 0, 1.5, None],
                "difficultyLevel": "hard",
                "instructions": 7,
                "equipment": {},
                "colour": "red",
            },
        )
        assert broken_fields(answer) == {
            "name": "length",
            "primaryMuscles[0]": "type",
            "primaryMuscles[1]": "range",
            "primaryMuscles[2]": "type",
            "primaryMuscles[3]": "null",
            "difficultyLevel": "enum",
            "category": "missing",
            "instructions": "type",
            "equipment": "type",
            "colour": "unknown",
        }

    @pytest.mark.parametrize(
        ("name", "kind"),
        [(None, "null"), (7, "type"), (["Curl"], "type"), ("", "length"), ("  a  ", "length"), ("x" * 101, "length"),
         ("a\x00bc", "pattern"), ("a\x07bc", "pattern"), ("a\u200ebc\x7f", "pattern")],
    )  # fmt: skip
    async def test_a_name_keeps_its_rules(self, athlete: Actor, name: object, kind: str) -> None:
        body = {"name": name, "primaryMuscles": [1], "difficultyLevel": "beginner", "category": "strength"}
        answer = await athlete.client.post(f"{EXERCISES}/user", json=body)
        assert broken_fields(answer) == {"name": kind}

    async def test_text_where_a_number_belongs_is_not_converted(self, athlete: Actor) -> None:
        body = {"name": "Curl", "primaryMuscles": ["1"], "difficultyLevel": "beginner", "category": "strength"}
        answer = await athlete.client.post(f"{EXERCISES}/user", json=body)
        assert broken_fields(answer) == {"primaryMuscles[0]": "type"}

    @pytest.mark.parametrize("number", [32768, 2**31, 2**63, 2**64, 10**30, -1])
    async def test_an_integer_past_its_column_is_422(self, athlete: Actor, number: int) -> None:
        body = {"name": "Curl", "primaryMuscles": [number], "difficultyLevel": "beginner", "category": "strength"}
        answer = await athlete.client.post(f"{EXERCISES}/user", json=body)
        assert broken_fields(answer).keys() == {"primaryMuscles[0]"}

    async def test_a_broken_body_stores_nothing(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        await athlete.client.post(f"{EXERCISES}/user", json={"name": "Curl"})
        assert await connection.fetchval("SELECT count(*) FROM exercises WHERE created_by = $1", athlete.id) == 0

    async def test_many_broken_fields_are_capped(self, athlete: Actor) -> None:
        answer = await athlete.client.post(f"{EXERCISES}/user", json={f"field{n}": n for n in range(5000)})
        assert 100 <= len(problem(answer, 422)["details"]) <= 110


class TestSize:
    async def test_a_body_over_the_bound_is_413(self, make_app: MakeApp, athlete: Actor) -> None:
        small = await make_app(MAX_BODY_BYTES="2000")
        client = small.client(cookies=athlete.client.cookies)
        problem(await client.patch("/api/v1/access/me", json={"name": "x" * 2000}), 413)
        assert (await client.patch("/api/v1/access/me", json={"name": "x" * 200})).status_code == 200

    async def test_also_when_it_comes_in_chunks(self, make_app: MakeApp, athlete: Actor) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b'{"name": "'
            for _ in range(50):
                yield b"x" * 100
            yield b'"}'

        small = await make_app(MAX_BODY_BYTES="2000")
        client = small.client(cookies=athlete.client.cookies)
        answer = await client.patch("/api/v1/access/me", content=chunks(), headers={"Content-Type": "application/json"})
        problem(answer, 413)

    async def test_a_content_length_that_lies_is_a_client_error(self, athlete: Actor) -> None:
        answer = await athlete.client.patch(
            "/api/v1/access/me", content=b"{}", headers={"Content-Type": "application/json", "Content-Length": "abc"}
        )
        assert 400 <= answer.status_code < 500


class TestParameters:
    @pytest.mark.parametrize("path", [EXERCISES, "/api/v1/access/me", "/api/v1/training-sessions", "/ping"])
    async def test_unknown_ones_are_422(self, athlete: Actor, path: str) -> None:
        answer = await athlete.client.get(path, params={"searchstring": "a", "nonsense": "1"})
        assert broken_fields(answer) == {"searchstring": "unknown", "nonsense": "unknown"}

    async def test_every_broken_one_is_named(self, athlete: Actor) -> None:
        parameters = {"pageSize": "101", "currentPage": "0", "orderBy": "password", "sortOrder": "up", "category": "x"}
        answer = await athlete.client.get(EXERCISES, params=parameters)
        assert broken_fields(answer).keys() == parameters.keys()

    @pytest.mark.parametrize("value", ["", "x", "1.5", "0", "-1", "101", "9" * 30, "NaN", "1e1"])
    async def test_a_page_size_out_of_bounds_is_422(self, athlete: Actor, value: str) -> None:
        assert broken_fields(await athlete.client.get(EXERCISES, params={"pageSize": value})).keys() == {"pageSize"}

    async def test_nul_in_a_search_is_422(self, athlete: Actor) -> None:
        answer = await athlete.client.get(f"{EXERCISES}?searchString=a%00b")
        assert broken_fields(answer) == {"searchString": "pattern"}

    async def test_bytes_that_are_no_text_are_422(self, athlete: Actor) -> None:
        answer = await athlete.client.get(f"{EXERCISES}?searchString=%ff%fe")
        assert broken_fields(answer) == {"searchString": "pattern"}


class TestNumbersInPaths:
    @pytest.mark.parametrize("number", ["1_0", "+1", "01", "10000000000000000000000", "-1", "0x1", "1.0"])
    async def test_only_what_is_written_as_one(self, athlete: Actor, number: str) -> None:
        problem(await athlete.client.get(f"/api/v1/catalogs/muscle-groups/{number}"), 404)


class TestRepeatedParameters:
    @pytest.mark.parametrize("name", ["pageSize", "currentPage", "searchString", "sortOrder"])
    async def test_what_is_no_filter_is_given_once(self, athlete: Actor, name: str) -> None:
        value = "asc" if name == "sortOrder" else "1"
        answer = await athlete.client.get(f"/api/v1/exercises?{name}={value}&{name}={value}")
        assert broken_fields(answer) == {name: "rule"}

    async def test_values_of_a_filter_are_alternatives(
        self, superuser: Actor, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        await connection.execute("UPDATE user_account SET is_active = false WHERE id = $1", athlete.id)
        found = {
            query: {user["id"] for user in (await superuser.client.get(f"/api/v1/users?{query}")).json()["items"]}
            for query in ("isActive=true", "isActive=false", "isActive=true&isActive=false")
        }
        assert found == {
            "isActive=true": {str(superuser.id)},
            "isActive=false": {str(athlete.id)},
            "isActive=true&isActive=false": {str(superuser.id), str(athlete.id)},
        }
