import asyncio
import time
from uuid import UUID

import httpx
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey

from app.http.context import API
from tests.accounts.tokens import (
    ACCESS,
    REFRESH,
    bearer,
    claims_of,
    cookie,
    held,
    record,
    sid_of,
    signed,
    signing_key,
    store,
    stored,
    with_cookies,
)
from tests.actors import Actor
from tests.conftest import MakeApp
from tests.service import Service

REVOKED = "SELECT revoked_at IS NOT NULL FROM user_session WHERE id = $1"


async def refresh(service: Service, token: str) -> httpx.Response:
    return await with_cookies(service, **{REFRESH: token}).post(f"{API}/access/refresh-jwt")


async def me(service: Service, token: str) -> int:
    return (await bearer(service, token).get(f"{API}/access/me")).status_code


async def ten_seconds_later(valkey: Valkey, sid: UUID) -> None:
    """The rotation lies further back than the grace period."""
    await store(valkey, sid, "rotated_at", int(time.time() * 1000) - 10_500)


async def test_replaces_both_cookies(athlete: Actor, service: Service, connection: Connection) -> None:
    old = held(athlete.client, REFRESH)
    await connection.execute("UPDATE user_session SET last_used_at = now() - interval '1 hour'")
    answer = await athlete.client.post(f"{API}/access/refresh-jwt")
    assert answer.status_code == 204
    new, access = cookie(answer, REFRESH), cookie(answer, ACCESS)
    assert claims_of(new.value)["jti"] != claims_of(old)["jti"]
    assert sid_of(new.value) == sid_of(old) == sid_of(access.value)
    assert (new["path"], new["samesite"].lower(), bool(new["httponly"])) == (f"{API}/access", "strict", True)
    assert (access["path"], access["samesite"].lower(), bool(access["httponly"])) == ("/", "lax", True)
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 200
    age = await connection.fetchval("SELECT extract(epoch FROM now() - last_used_at) FROM user_session")
    assert age < 60
    assert (await athlete.client.post(f"{API}/access/refresh-jwt")).status_code == 204, "and so on"


async def test_two_at_once_on_two_workers_get_the_same_successor(
    athlete: Actor, service: Service, make_app: MakeApp, connection: Connection, valkey: Valkey
) -> None:
    other = await make_app()
    old = held(athlete.client, REFRESH)
    answers = await asyncio.gather(*(refresh(worker, old) for worker in (service, other) * 5))
    assert {answer.status_code for answer in answers} == {204}
    successors = {cookie(answer, REFRESH).value for answer in answers}
    assert len(successors) == 1
    successor = successors.pop()
    assert await connection.fetchval("SELECT count(*) FROM user_session WHERE revoked_at IS NULL") == 1
    keys = await valkey.keys("irontrack:refresh:*")
    assert keys == [record(sid_of(old)).encode()]
    assert await stored(valkey, sid_of(old), "jti") == claims_of(successor)["jti"]
    assert (await refresh(other, successor)).status_code == 204


async def test_used_again_ten_seconds_later_the_session_is_dead_for_both(
    athlete: Actor, service: Service, make_app: MakeApp, connection: Connection, valkey: Valkey
) -> None:
    other = await make_app()
    stolen = held(athlete.client, REFRESH)
    answer = await athlete.client.post(f"{API}/access/refresh-jwt")
    successor, access = cookie(answer, REFRESH).value, cookie(answer, ACCESS).value
    assert [await me(service, access), await me(other, access)] == [200, 200]
    await ten_seconds_later(valkey, sid_of(stolen))

    assert (await refresh(other, stolen)).status_code == 401

    assert await connection.fetchval(REVOKED, sid_of(stolen)) is True
    assert [await me(service, access), await me(other, access)] == [401, 401]
    assert [(await refresh(worker, successor)).status_code for worker in (service, other)] == [401, 401]
    assert [(await refresh(worker, stolen)).status_code for worker in (service, other)] == [401, 401]
    assert not await valkey.exists(record(sid_of(stolen)))


async def test_used_again_after_its_successor_was_used_it_is_theft(
    athlete: Actor, service: Service, connection: Connection
) -> None:
    stolen = held(athlete.client, REFRESH)
    successor = cookie(await refresh(service, stolen), REFRESH).value
    last = cookie(await refresh(service, successor), REFRESH).value
    assert (await refresh(service, stolen)).status_code == 401
    assert await connection.fetchval(REVOKED, sid_of(stolen)) is True
    assert (await refresh(service, last)).status_code == 401


async def test_other_sessions_of_the_user_live_on(athlete: Actor, service: Service, valkey: Valkey) -> None:
    stolen = held(athlete.client, REFRESH)
    elsewhere = service.client()
    signin = {"email": athlete.email, "password": athlete.password}
    assert (await elsewhere.post(f"{API}/access/signin", json=signin)).status_code == 204
    await refresh(service, stolen)
    await ten_seconds_later(valkey, sid_of(stolen))
    assert (await refresh(service, stolen)).status_code == 401
    assert (await elsewhere.get(f"{API}/access/me")).status_code == 200
    assert (await elsewhere.post(f"{API}/access/refresh-jwt")).status_code == 204


async def test_a_signed_token_with_an_unknown_jti_kills_its_session(
    athlete: Actor, service: Service, connection: Connection
) -> None:
    token = held(athlete.client, REFRESH)
    forged = signed(signing_key(service), token, jti="00000000-0000-4000-8000-000000000000")
    assert (await refresh(service, forged)).status_code == 401
    assert await connection.fetchval(REVOKED, sid_of(token)) is True


async def test_a_session_that_valkey_has_lost_is_dead(
    athlete: Actor, service: Service, connection: Connection, valkey: Valkey
) -> None:
    token = held(athlete.client, REFRESH)
    await valkey.delete(record(sid_of(token)))
    assert (await refresh(service, token)).status_code == 401
    assert await connection.fetchval(REVOKED, sid_of(token)) is True
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 401


async def test_without_a_cookie_it_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/access/refresh-jwt")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_header_is_no_place_for_a_refresh_token(athlete: Actor, service: Service) -> None:
    token = held(athlete.client, REFRESH)
    assert (await bearer(service, token).post(f"{API}/access/refresh-jwt")).status_code == 401
    assert (await refresh(service, token)).status_code == 204, "nothing was used up"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE user_session SET expires_at = now() - interval '1 second'",
        "UPDATE user_session SET revoked_at = now()",
        "UPDATE user_account SET is_active = false",
        "DELETE FROM user_session",
    ],
)
async def test_the_table_decides(athlete: Actor, service: Service, connection: Connection, change: str) -> None:
    await connection.execute(change)
    assert (await refresh(service, held(athlete.client, REFRESH))).status_code == 401


async def test_no_token_outlives_ninety_days_from_the_sign_in(
    athlete: Actor, service: Service, connection: Connection, valkey: Valkey
) -> None:
    token = held(athlete.client, REFRESH)
    ends_at = int(time.time()) + 600
    await connection.execute("UPDATE user_session SET expires_at = to_timestamp($1)", ends_at)
    await store(valkey, sid_of(token), "ends_at", ends_at)
    answer = await refresh(service, token)
    assert answer.status_code == 204
    for name in (ACCESS, REFRESH):
        issued = cookie(answer, name)
        assert claims_of(issued.value)["exp"] == ends_at
        assert int(issued["max-age"]) <= 600
