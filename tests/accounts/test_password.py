import pytest
from asyncpg import Connection

from app.http.context import API
from tests.accounts.test_sign_out import assert_cleared
from tests.accounts.tokens import ACCESS, REFRESH, bearer, held, with_cookies
from tests.actors import Actor
from tests.factories import APITokenFactory
from tests.service import Service

NEW_PASSWORD = {"currentPassword": "Correct-horse7!", "newPassword": "New-battery_9"}


async def test_ends_everything_that_the_user_holds(
    athlete: Actor, other_athlete: Actor, service: Service, connection: Connection
) -> None:
    elsewhere = service.client()
    body = {"email": athlete.email, "password": athlete.password}
    await elsewhere.post(f"{API}/access/signin", json=body)
    token = (await athlete.client.post(f"{API}/access/tokens", json=APITokenFactory.build())).json()["token"]
    access, refresh = held(elsewhere, ACCESS), held(elsewhere, REFRESH)
    assert (await bearer(service, token).get(f"{API}/access/me")).status_code == 200

    answer = await athlete.client.patch(f"{API}/access/password-update", json=NEW_PASSWORD)

    assert answer.status_code == 204
    assert_cleared(answer)
    for dead in (access, token):
        assert (await bearer(service, dead).get(f"{API}/access/me")).status_code == 401
    assert (await with_cookies(service, **{REFRESH: refresh}).post(f"{API}/access/refresh-jwt")).status_code == 401
    live = "SELECT count(*) FROM {} WHERE user_id = $1 AND revoked_at IS NULL"
    assert await connection.fetchval(live.format("user_session"), athlete.id) == 0
    assert await connection.fetchval(live.format("api_token"), athlete.id) == 0
    assert (await other_athlete.client.get(f"{API}/access/me")).status_code == 200
    assert (await service.client().post(f"{API}/access/signin", json=body)).status_code == 401
    body["password"] = NEW_PASSWORD["newPassword"]
    assert (await service.client().post(f"{API}/access/signin", json=body)).status_code == 204


async def test_a_wrong_current_password_changes_nothing(athlete: Actor, connection: Connection) -> None:
    before = await connection.fetchrow("SELECT * FROM user_account WHERE id = $1", athlete.id)
    body = {**NEW_PASSWORD, "currentPassword": "Wrong-horse7!"}
    answer = await athlete.client.patch(f"{API}/access/password-update", json=body)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert await connection.fetchrow("SELECT * FROM user_account WHERE id = $1", athlete.id) == before
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 200


@pytest.mark.parametrize("password", ["short", "New-battery-9", "a" * 200, None, 7])
async def test_the_new_password_keeps_the_rules(athlete: Actor, password: object) -> None:
    body = {**NEW_PASSWORD, "newPassword": password}
    answer = await athlete.client.patch(f"{API}/access/password-update", json=body)
    assert answer.status_code == 422
    assert [entry["field"] for entry in answer.json()["details"]] == ["newPassword"]
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 200
