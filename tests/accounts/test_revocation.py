"""Nobody accepts the old state once the answer to a change was sent: on no worker, whatever Valkey does."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from asyncpg import Connection

from app.http.context import API
from tests.accounts.conftest import OwnValkey
from tests.accounts.tokens import ACCESS, REFRESH, bearer, held, with_cookies
from tests.actors import Actor, sign_in
from tests.conftest import MakeActor, MakeApp
from tests.factories import APITokenFactory
from tests.service import Service
from tests.waiting import eventually

TRIALS = 10

Change = Callable[[Actor, Actor], Awaitable[int]]


async def log_out(victim: Actor, _: Actor) -> int:
    return (await victim.client.post(f"{API}/access/logout")).status_code


async def change_password(victim: Actor, _: Actor) -> int:
    body = {"currentPassword": victim.password, "newPassword": "New-battery_9"}
    return (await victim.client.patch(f"{API}/access/password-update", json=body)).status_code


async def deactivate(victim: Actor, root: Actor) -> int:
    return (await root.client.patch(f"{API}/users/{victim.id}", json={"isActive": False})).status_code


async def delete_account(victim: Actor, root: Actor) -> int:
    return (await root.client.delete(f"{API}/users/{victim.id}")).status_code


async def me(service: Service, token: str) -> int:
    return (await bearer(service, token).get(f"{API}/access/me")).status_code


async def refused(service: Service, token: str) -> bool:
    return await me(service, token) == 401


@pytest.mark.parametrize("change", [log_out, change_password, deactivate, delete_account])
async def test_on_both_workers_at_once(
    service: Service, make_app: MakeApp, make_actor: MakeActor, superuser: Actor, change: Change
) -> None:
    other = await make_app()
    for _ in range(TRIALS):
        victim = await make_actor()
        access, refresh = held(victim.client, ACCESS), held(victim.client, REFRESH)
        load = [asyncio.create_task(me(worker, access)) for worker in (service, other) * 4]
        await asyncio.gather(*load)
        pending = [asyncio.create_task(me(worker, access)) for worker in (service, other) * 2]
        assert await change(victim, superuser) < 300
        assert [await me(worker, access) for worker in (service, other) * 3] == [401] * 6
        for worker in (service, other):
            client = with_cookies(worker, **{REFRESH: refresh})
            assert (await client.post(f"{API}/access/refresh-jwt")).status_code == 401
        await asyncio.gather(*pending)


async def test_a_demotion_on_both_workers(
    service: Service, make_app: MakeApp, make_actor: MakeActor, superuser: Actor
) -> None:
    other = await make_app()
    for _ in range(TRIALS):
        victim = await make_actor("superuser")
        token = (await victim.client.post(f"{API}/access/tokens", json=APITokenFactory.build())).json()["token"]
        access = held(victim.client, ACCESS)
        workers = [bearer(worker, access) for worker in (service, other)]
        for client in workers:
            assert (await client.get(f"{API}/users")).status_code == 200
            assert await me(other, token) == 200
        answer = await superuser.client.patch(f"{API}/roles/{victim.email}/revoke", json={"roleSlug": "superuser"})
        assert answer.status_code == 200
        for client in workers:
            assert (await client.get(f"{API}/users")).status_code == 403
            assert (await client.get(f"{API}/access/me")).json()["isSuperuser"] is False
        assert [await me(worker, token) for worker in (service, other)] == [401, 401]


@pytest.mark.parametrize("disturbance", [None, signal.SIGSTOP, signal.SIGKILL])
async def test_another_machine_within_a_second(
    make_app: MakeApp,
    make_actor: MakeActor,
    own_valkey: OwnValkey,
    tmp_path: Path,
    disturbance: signal.Signals | None,
) -> None:
    """It hears of changes through Valkey alone; when that is away, it asks the table."""
    here = await make_app(NEWS_WITHIN="1", VALKEY_URL=own_valkey.url)
    there = await make_app(
        NEWS_WITHIN="1", VALKEY_URL=own_valkey.url, REVOCATION_FILE=str(tmp_path / "another-machine")
    )
    victim = await make_actor(service=here)
    access = held(victim.client, ACCESS)
    assert [await me(here, access), await me(there, access)] == [200, 200]
    if disturbance is not None:
        own_valkey.signal(disturbance)
    assert await log_out(victim, victim) == 204
    assert await me(here, access) == 401
    await eventually(lambda: refused(there, access), within=1.0)


async def test_without_valkey(
    make_app: MakeApp, make_actor: MakeActor, own_valkey: OwnValkey, connection: Connection
) -> None:
    app = await make_app(NEWS_WITHIN="1", VALKEY_URL=own_valkey.url)
    athlete = await make_actor(service=app)
    access, refresh = held(athlete.client, ACCESS), held(athlete.client, REFRESH)
    await own_valkey.leave()

    assert (await athlete.client.get(f"{API}/access/me")).status_code == 200, "the table answers"
    body = {"email": athlete.email, "password": athlete.password}
    signin = await app.client().post(f"{API}/access/signin", json=body)
    again = await with_cookies(app, **{REFRESH: refresh}).post(f"{API}/access/refresh-jwt")
    for answer in (signin, again):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "set-cookie" not in answer.headers
    assert await connection.fetchval("SELECT count(*) FROM user_session WHERE revoked_at IS NULL") == 1

    assert (await athlete.client.post(f"{API}/access/logout")).status_code == 204
    assert await me(app, access) == 401
    assert (await with_cookies(app, **{REFRESH: refresh}).post(f"{API}/access/refresh-jwt")).status_code == 401

    await own_valkey.server.start()
    assert await me(app, access) == 401
    assert (await with_cookies(app, **{REFRESH: refresh}).post(f"{API}/access/refresh-jwt")).status_code == 401
    await sign_in(app.client(), athlete.email)


async def test_after_a_restart_of_valkey_sessions_go_on(
    make_app: MakeApp, make_actor: MakeActor, own_valkey: OwnValkey
) -> None:
    app = await make_app(NEWS_WITHIN="1", VALKEY_URL=own_valkey.url)
    athlete = await make_actor(service=app)
    await own_valkey.leave()
    await own_valkey.server.start()
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 200
    assert (await athlete.client.post(f"{API}/access/refresh-jwt")).status_code == 204
