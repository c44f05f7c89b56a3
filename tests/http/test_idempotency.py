"""Idempotency-Key."""

import asyncio
import hashlib

import asyncpg
import httpx
import pytest

from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.conftest import MakeApp

SESSIONS = "/api/v1/training-sessions"
CUSTOM = "/api/v1/exercises/user"
CURL = {"name": "My curl", "primaryMuscles": [1], "difficultyLevel": "beginner", "category": "strength"}


async def count(connection: "asyncpg.Connection[asyncpg.Record]", table: str) -> int:
    number: int = await connection.fetchval(f"SELECT count(*) FROM {table}")
    return number


async def start(actor: Actor, key: str, body: object = None, **headers: str) -> httpx.Response:
    return await actor.client.post(
        SESSIONS, json={"notes": "legs"} if body is None else body, headers={"Idempotency-Key": key, **headers}
    )


class TestAgain:
    async def test_the_first_answer_is_given_again(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        first, again = await start(athlete, "k1"), await start(athlete, "k1")
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.content == first.content
        for name in ("content-type", "etag", "location"):
            assert again.headers[name] == first.headers[name]
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
        assert await count(connection, "training_sessions") == 1

    async def test_also_from_another_worker(
        self, make_app: MakeApp, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        first = await start(athlete, "k1")
        elsewhere = (await make_app()).client(cookies=athlete.client.cookies)
        again = await elsewhere.post(SESSIONS, json={"notes": "legs"}, headers={"Idempotency-Key": "k1"})
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json() == first.json()
        assert await count(connection, "training_sessions") == 1

    async def test_a_refusal_is_given_again(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        assert (await athlete.client.post(CUSTOM, json=CURL)).status_code == 201
        key = {"Idempotency-Key": "k1"}
        problem(await athlete.client.post(CUSTOM, json=CURL, headers=key), 409)
        await connection.execute("UPDATE exercises SET name = 'Renamed' WHERE created_by = $1", athlete.id)
        again = await athlete.client.post(CUSTOM, json=CURL, headers=key)
        assert again.status_code == 409
        assert again.headers["idempotent-replayed"] == "true"

    async def test_another_body_is_422(self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await start(athlete, "k1")
        assert broken_fields(await start(athlete, "k1", {"notes": "arms"})) == {"Idempotency-Key": "rule"}
        assert await count(connection, "training_sessions") == 1

    async def test_a_day_later_it_is_a_new_request(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        first = await start(athlete, "k1")
        await connection.execute("UPDATE idempotency_key SET created_at = now() - interval '24 hours 1 second'")
        again = await start(athlete, "k1")
        assert "idempotent-replayed" not in again.headers
        assert again.json()["id"] != first.json()["id"]


class TestScope:
    async def test_a_key_is_its_users_own(self, athlete: Actor, other_athlete: Actor) -> None:
        mine, theirs = await start(athlete, "k1"), await start(other_athlete, "k1")
        assert theirs.status_code == 201
        assert theirs.json()["id"] != mine.json()["id"]

    async def test_and_belongs_to_its_path(self, athlete: Actor) -> None:
        await start(athlete, "k1")
        answer = await athlete.client.post(CUSTOM, json=CURL, headers={"Idempotency-Key": "k1"})
        assert answer.status_code == 201
        assert "idempotent-replayed" not in answer.headers

    async def test_without_a_key_each_request_counts(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        for _ in range(2):
            await athlete.client.post(SESSIONS, json={})
        assert await count(connection, "training_sessions") == 2
        assert await count(connection, "idempotency_key") == 0

    async def test_under_access_it_is_ignored(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        await athlete.client.post("/api/v1/access/logout", headers={"Idempotency-Key": "k1"})
        assert await count(connection, "idempotency_key") == 0

    async def test_credentials_are_checked_first(self, athlete: Actor, client: httpx.AsyncClient) -> None:
        await start(athlete, "k1")
        problem(await client.post(SESSIONS, json={"notes": "legs"}, headers={"Idempotency-Key": "k1"}), 401)

    async def test_after_a_sign_out_nothing_is_given_again(self, athlete: Actor) -> None:
        await start(athlete, "k1")
        token = athlete.client.cookies["access_token"]
        await athlete.client.post("/api/v1/access/logout")
        problem(await start(athlete, "k1", Authorization=f"Bearer {token}"), 401)


class TestKey:
    @pytest.mark.parametrize("key", ["x", "x" * 255, "a-b_c:1/2", '"quoted"'])
    async def test_may_be_any_visible_ascii(self, athlete: Actor, key: str) -> None:
        assert (await start(athlete, key)).status_code == 201

    @pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "\u00e9"])
    async def test_anything_else_is_422(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]", key: str
    ) -> None:
        answer = await athlete.client.post(SESSIONS, json={}, headers=[(b"Idempotency-Key", key.encode("latin-1"))])
        assert broken_fields(answer) == {"Idempotency-Key": "pattern"}
        assert await count(connection, "training_sessions") == 0


class TestSameInstant:
    async def test_one_is_done_and_the_others_get_it_or_are_told_to_wait(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        answers = await asyncio.gather(*(start(athlete, "k1") for _ in range(10)))
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
        assert await count(connection, "training_sessions") == 1

    async def test_while_the_first_runs_the_second_is_409(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        made = (await athlete.client.post(SESSIONS, json={})).json()
        path, key = f"{SESSIONS}/{made['id']}/exercises", {"Idempotency-Key": "k1"}
        body = {"exerciseName": "Curl"}
        async with connection.transaction():
            await connection.execute("SELECT FROM training_sessions FOR UPDATE")
            first = asyncio.create_task(athlete.client.post(path, json=body, headers=key))
            await _until_somebody_waits(connection)
            second = await athlete.client.post(path, json=body, headers=key)
            problem(second, 409)
        assert (await first).status_code == 201
        again = await athlete.client.post(path, json=body, headers=key)
        assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
        assert await count(connection, "training_session_exercises") == 1


class TestNeverKept:
    async def test_what_ran_out_of_time_is_tried_again(
        self, make_app: MakeApp, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        made = (await athlete.client.post(SESSIONS, json={})).json()
        client = (await make_app(REQUEST_TIMEOUT="0.3")).client(cookies=athlete.client.cookies)
        path, key = f"{SESSIONS}/{made['id']}/exercises", {"Idempotency-Key": "k1"}
        async with connection.transaction():
            await connection.execute("SELECT FROM training_sessions FOR UPDATE")
            problem(await client.post(path, json={"exerciseName": "Curl"}, headers=key), 503)
        assert await count(connection, "idempotency_key") == 0
        assert (await client.post(path, json={"exerciseName": "Curl"}, headers=key)).status_code == 201

    async def test_what_was_forbidden_is_tried_again(
        self, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        key = {"Idempotency-Key": "k1"}
        problem(await athlete.client.post("/api/v1/catalogs/equipment", json={"name": "sandbag"}, headers=key), 403)
        assert await count(connection, "idempotency_key") == 0


async def _until_somebody_waits(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND pg_backend_pid() <> pid"
    )
    while not await connection.fetchval(waiting):
        pass


async def test_the_body_is_compared_by_a_keyed_hash(
    superuser: Actor, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    body = b'{"email":"kept@example.com","password":"Guess-me-1!"}'
    headers = {"Idempotency-Key": "k1", "Content-Type": "application/json"}
    answer = await superuser.client.post("/api/v1/users", content=body, headers=headers)
    assert answer.status_code == 201, answer.text
    kept = await connection.fetchval("SELECT body_hash FROM idempotency_key")
    assert len(kept) == 32
    assert kept != hashlib.sha256(body).digest()
