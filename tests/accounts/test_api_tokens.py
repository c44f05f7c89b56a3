import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from asyncpg import Connection

from app.http.context import API
from tests.accounts.tokens import bearer
from tests.actors import Actor
from tests.factories import APITokenFactory, NewUserFactory
from tests.service import Service

TOKENS = f"{API}/access/tokens"


async def make(actor: Actor, *scopes: str) -> str:
    answer = await actor.client.post(TOKENS, json=APITokenFactory.build(scopes=list(scopes)))
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token


async def test_is_shown_once(athlete: Actor, connection: Connection) -> None:
    body = APITokenFactory.build(scopes=["read", "write"], name="  Watch  ")
    answer = await athlete.client.post(TOKENS, json=body)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["Location"] == f"{TOKENS}/{made['id']}"
    assert set(made) == {"id", "name", "prefix", "scopes", "createdAt", "lastUsedAt", "expiresAt", "token"}
    assert (made["name"], made["scopes"], made["lastUsedAt"]) == ("Watch", ["read", "write"], None)
    listed = await athlete.client.get(TOKENS)
    assert listed.json() == [{name: value for name, value in made.items() if name != "token"}]
    row = await connection.fetchrow("SELECT * FROM api_token WHERE user_id = $1", athlete.id)
    assert row is not None
    assert row["hash"] == hashlib.sha256(made["token"].encode()).digest()
    assert made["token"] not in str(dict(row))


async def test_is_dead_once_deleted(athlete: Actor, other_athlete: Actor, service: Service) -> None:
    made = (await athlete.client.post(TOKENS, json=APITokenFactory.build(scopes=["read"]))).json()
    client = bearer(service, made["token"])
    assert (await client.get(f"{API}/access/me")).json()["email"] == athlete.email
    assert (await other_athlete.client.delete(f"{TOKENS}/{made['id']}")).status_code == 404
    assert (await client.get(f"{API}/access/me")).status_code == 200
    assert (await athlete.client.delete(f"{TOKENS}/{made['id']}")).status_code == 204
    assert (await client.get(f"{API}/access/me")).status_code == 401
    assert (await athlete.client.get(TOKENS)).json() == []
    assert (await athlete.client.delete(f"{TOKENS}/{made['id']}")).status_code == 404


async def test_ends_when_it_says(athlete: Actor, service: Service, connection: Connection) -> None:
    client = bearer(service, await make(athlete, "read"))
    await connection.execute("UPDATE api_token SET expires_at = now() - interval '1 second'")
    assert (await client.get(f"{API}/access/me")).status_code == 401


async def test_its_use_is_noted(athlete: Actor, service: Service) -> None:
    client = bearer(service, await make(athlete, "read"))
    assert (await client.get(f"{API}/access/me")).status_code == 200
    assert (await athlete.client.get(TOKENS)).json()[0]["lastUsedAt"] is not None


async def test_read_reads_and_write_does_both(athlete: Actor, service: Service) -> None:
    body = {"id": "018f0000-0000-7000-8000-000000000000"}
    for scope, status in (("read", 403), ("write", 201)):
        client = bearer(service, await make(athlete, scope))
        assert (await client.get(f"{API}/training-sessions")).status_code == 200
        assert (await client.head(f"{API}/training-sessions")).status_code == 200
        assert (await client.post(f"{API}/training-sessions", json=body)).status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/access/me"),
        ("DELETE", "/access/me"),
        ("PATCH", "/access/password-update"),
        ("GET", "/access/sessions"),
        ("DELETE", "/access/sessions/018f0000-0000-7000-8000-000000000000"),
        ("GET", "/access/tokens"),
        ("POST", "/access/tokens"),
        ("DELETE", "/access/tokens/018f0000-0000-7000-8000-000000000000"),
        ("GET", "/users"),
        ("POST", "/users"),
        ("GET", "/roles"),
        ("PATCH", "/roles/a@example.com/assign"),
        ("PATCH", "/roles/a@example.com/revoke"),
    ],
)
async def test_reaches_neither_access_nor_users(superuser: Actor, service: Service, method: str, path: str) -> None:
    client = bearer(service, await make(superuser, "read", "write"))
    body = {"/users": NewUserFactory.build(), "/access/tokens": APITokenFactory.build()}.get(
        path, {"password": superuser.password}
    )
    answer = await client.request(method, API + path, json=body)
    assert answer.status_code == 403
    assert (await client.get(f"{API}/access/me")).status_code == 200


@pytest.mark.parametrize(
    ("changes", "field", "kind"),
    [
        ({"name": ""}, "name", "length"),
        ({"name": "x" * 101}, "name", "length"),
        ({"scopes": []}, "scopes", "length"),
        ({"scopes": ["admin"]}, "scopes[0]", "enum"),
        ({"scopes": "read"}, "scopes", "type"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt", "range"),
        ({"expiresAt": (datetime.now(UTC) + timedelta(days=367)).isoformat()}, "expiresAt", "range"),
        ({"expiresAt": "2026-12-01T00:00:00"}, "expiresAt", "pattern"),
        ({"expiresAt": None}, "expiresAt", "null"),
    ],
)
async def test_the_rules(
    athlete: Actor, connection: Connection, changes: dict[str, object], field: str, kind: str
) -> None:
    answer = await athlete.client.post(TOKENS, json=APITokenFactory.build(**changes))
    assert answer.status_code == 422
    assert [(entry["field"], entry["type"]) for entry in answer.json()["details"]] == [(field, kind)]
    assert await connection.fetchval("SELECT count(*) FROM api_token") == 0


async def test_fifty_at_most(athlete: Actor, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO api_token (id, user_id, name, prefix, hash, scopes, expires_at)"
        " SELECT gen_random_uuid(), $1, 'x', 'abcdefgh', sha256(i::text::bytea), '{read}', now() + interval '1 day'"
        " FROM generate_series(1, 48) i",
        athlete.id,
    )
    answers = await asyncio.gather(*(athlete.client.post(TOKENS, json=APITokenFactory.build()) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409]
    assert await connection.fetchval("SELECT count(*) FROM api_token") == 50
    await connection.execute("UPDATE api_token SET expires_at = now() WHERE id = (SELECT id FROM api_token LIMIT 1)")
    assert (await athlete.client.post(TOKENS, json=APITokenFactory.build())).status_code == 201, (
        "expired ones do not count"
    )


async def test_is_not_made_by_a_session_that_ends_meanwhile(athlete: Actor, connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("SELECT FROM user_account WHERE id = $1 FOR UPDATE", athlete.id)
        late = asyncio.create_task(athlete.client.post(TOKENS, json=APITokenFactory.build()))
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            pass
        await connection.execute("UPDATE user_session SET revoked_at = now()")
    assert (await late).status_code == 401
    assert await connection.fetchval("SELECT count(*) FROM api_token") == 0


@pytest.mark.parametrize("token", ["irt_", "irt_abcdefgh_" + "A" * 43, "irt_\u00e9", "irt_abcdefgh_" + "A" * 1_000_000])
async def test_an_invented_one_is_refused(service: Service, token: str) -> None:
    client = service.client()
    headers = httpx.Headers({"Authorization": f"Bearer {token}"}, encoding="latin-1")
    assert (await client.get(f"{API}/access/me", headers=headers)).status_code == 401


async def test_is_no_cookie(athlete: Actor, service: Service) -> None:
    token = await make(athlete, "read")
    answer = await service.client(headers={"Cookie": f"refresh_token={token}"}).post(f"{API}/access/refresh-jwt")
    assert answer.status_code == 401
