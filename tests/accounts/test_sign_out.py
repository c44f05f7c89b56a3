import time

import httpx
import pytest
from asyncpg import Connection
from valkey.asyncio import Valkey

from app.http.context import API
from tests.accounts.tokens import (
    ACCESS,
    REFRESH,
    bearer,
    cookie,
    held,
    sid_of,
    signed,
    signing_key,
    unsigned,
    with_cookies,
)
from tests.actors import Actor
from tests.service import Service

LIVE = "SELECT count(*) FROM user_session WHERE revoked_at IS NULL"


def assert_cleared(answer: httpx.Response) -> None:
    for name, path, same_site in ((ACCESS, "/", "lax"), (REFRESH, f"{API}/access", "strict")):
        morsel = cookie(answer, name)
        assert (morsel.value, morsel["max-age"], morsel["path"]) == ("", "0", path)
        assert (morsel["samesite"].lower(), bool(morsel["httponly"])) == (same_site, True)


async def test_ends_the_session_and_clears_the_cookies(
    athlete: Actor, service: Service, connection: Connection, valkey: Valkey
) -> None:
    access, refresh = held(athlete.client, ACCESS), held(athlete.client, REFRESH)
    answer = await athlete.client.post(f"{API}/access/logout")
    assert answer.status_code == 204
    assert_cleared(answer)
    assert not athlete.client.cookies.get(ACCESS)
    assert await connection.fetchval(LIVE) == 0
    assert not await valkey.exists(f"irontrack:refresh:{sid_of(access).hex}")
    assert (await bearer(service, access).get(f"{API}/access/me")).status_code == 401
    again = await with_cookies(service, **{REFRESH: refresh}).post(f"{API}/access/refresh-jwt")
    assert again.status_code == 401


@pytest.mark.parametrize("name", [ACCESS, REFRESH])
async def test_either_cookie_suffices(athlete: Actor, service: Service, connection: Connection, name: str) -> None:
    token = held(athlete.client, name)
    assert (await with_cookies(service, **{name: token}).post(f"{API}/access/logout")).status_code == 204
    assert await connection.fetchval(LIVE) == 0


@pytest.mark.parametrize("name", [ACCESS, REFRESH])
async def test_an_expired_token_suffices(athlete: Actor, service: Service, connection: Connection, name: str) -> None:
    expired = signed(signing_key(service), held(athlete.client, name), exp=int(time.time()) - 3600)
    assert (await with_cookies(service, **{name: expired}).post(f"{API}/access/logout")).status_code == 204
    assert await connection.fetchval(LIVE) == 0


async def test_a_bearer_token_suffices(athlete: Actor, service: Service, connection: Connection) -> None:
    assert (await bearer(service, held(athlete.client, ACCESS)).post(f"{API}/access/logout")).status_code == 204
    assert await connection.fetchval(LIVE) == 0


async def test_without_a_valid_signature_nothing_ends(athlete: Actor, service: Service, connection: Connection) -> None:
    forged = unsigned(held(athlete.client, ACCESS), alg="none")
    for client in (with_cookies(service, **{ACCESS: forged, REFRESH: forged}), bearer(service, forged)):
        answer = await client.post(f"{API}/access/logout")
        assert answer.status_code == 204
        assert_cleared(answer)
    assert await connection.fetchval(LIVE) == 1


async def test_a_bearer_header_alone_decides(athlete: Actor, connection: Connection) -> None:
    answer = await athlete.client.post(f"{API}/access/logout", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 204
    assert await connection.fetchval(LIVE) == 1


async def test_nobody_may_sign_out_too(client: httpx.AsyncClient) -> None:
    assert (await client.post(f"{API}/access/logout")).status_code == 204


async def test_other_sessions_live_on(athlete: Actor, service: Service) -> None:
    elsewhere = service.client()
    body = {"email": athlete.email, "password": athlete.password}
    assert (await elsewhere.post(f"{API}/access/signin", json=body)).status_code == 204
    await athlete.client.post(f"{API}/access/logout")
    assert (await elsewhere.get(f"{API}/access/me")).status_code == 200


async def test_another_site_can_not_sign_anybody_out(athlete: Actor, connection: Connection) -> None:
    answer = await athlete.client.post(f"{API}/access/logout", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert await connection.fetchval(LIVE) == 1
