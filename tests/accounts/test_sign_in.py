import asyncio
from datetime import UTC, datetime, timedelta

import argon2
import httpx
import pytest
from argon2 import PasswordHasher
from asyncpg import Connection
from valkey.asyncio import Valkey

from app.http.context import API
from tests.accounts.tokens import ACCESS, DEVICE, REFRESH, claims_of, cookie, header_of, sid_of, stored
from tests.actors import Actor
from tests.conftest import MakeActor, MakeApp
from tests.factories import PASSWORD, email
from tests.service import Service


async def sign_in(client: httpx.AsyncClient, address: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post(f"{API}/access/signin", json={"email": address, "password": password})


async def test_json_sets_both_cookies(athlete: Actor, client: httpx.AsyncClient) -> None:
    answer = await sign_in(client, athlete.email)
    assert answer.status_code == 204
    assert answer.content == b""
    access, refresh, device = (cookie(answer, name) for name in (ACCESS, REFRESH, DEVICE))
    assert (access["path"], access["samesite"].lower(), access["max-age"]) == ("/", "lax", "900")
    assert (refresh["path"], refresh["samesite"].lower()) == (f"{API}/access", "strict")
    assert int(refresh["max-age"]) == 30 * 24 * 3600
    assert (device["path"], device["samesite"].lower()) == (f"{API}/access", "strict")
    for morsel in (access, refresh, device):
        assert morsel["httponly"]
        assert not morsel["domain"]
        assert not morsel["secure"], "plain HTTP on loopback"
    me = await client.get(f"{API}/access/me")
    assert me.json()["email"] == athlete.email


@pytest.mark.parametrize(
    ("variables", "secure"),
    [
        ({"PUBLIC_URL": "https://irontrack.example"}, True),
        ({"PUBLIC_URL": "http://irontrack.example"}, True),
        ({"PUBLIC_URL": "http://irontrack.example", "INSECURE_COOKIES": "true"}, False),
        ({"PUBLIC_URL": "http://localhost:8000"}, False),
        ({"PUBLIC_URL": "http://[::1]:8000"}, False),
        ({"PUBLIC_URL": "https://127.0.0.1:8443"}, True),
    ],
)
async def test_cookies_are_secure_except_on_plain_http_to_this_machine(
    make_app: MakeApp, athlete: Actor, variables: dict[str, str], secure: bool
) -> None:
    app = await make_app(**variables)
    answer = await sign_in(app.client(), athlete.email)
    assert answer.status_code == 204
    assert {bool(cookie(answer, name)["secure"]) for name in (ACCESS, REFRESH, DEVICE)} == {secure}


async def test_the_claims(athlete: Actor, client: httpx.AsyncClient, service: Service) -> None:
    answer = await sign_in(client, athlete.email)
    access, refresh = cookie(answer, ACCESS).value, cookie(answer, REFRESH).value
    jwks = (await client.get("/.well-known/jwks.json")).json()["keys"]
    for token, typ, lifetime in ((access, "access", 900), (refresh, "refresh", 30 * 24 * 3600)):
        header, claims = header_of(token), claims_of(token)
        assert header["alg"] == "Ed25519"
        assert header["kid"] in {key["kid"] for key in jwks}
        assert set(claims) == {"iss", "aud", "sub", "iat", "nbf", "exp", "jti", "typ", "sid"}
        assert (claims["iss"], claims["aud"], claims["typ"]) == (service.settings.app.public_url, "irontrack", typ)
        assert claims["sub"] == str(athlete.id)
        assert claims["exp"] - claims["iat"] == lifetime
    assert all("d" not in key for key in jwks)
    assert sid_of(access) == sid_of(refresh)
    assert claims_of(access)["jti"] != claims_of(refresh)["jti"]


@pytest.mark.parametrize(
    "further", [{}, {"grant_type": "password", "scope": "", "client_id": "x", "client_assertion": "y"}]
)
async def test_the_form_of_oauth(athlete: Actor, client: httpx.AsyncClient, further: dict[str, str]) -> None:
    form = {"username": athlete.email.upper(), "password": athlete.password, **further}
    answer = await client.post(f"{API}/access/signin", data=form)
    assert answer.status_code == 204
    assert (await client.get(f"{API}/access/me")).status_code == 200


@pytest.mark.parametrize(
    ("form", "details"),
    [
        ({"username": "a@example.com"}, [("password", "missing")]),
        ({"username": "a@example.com", "password": "x", "email": "y"}, [("email", "unknown")]),
    ],
)
async def test_a_broken_form_names_its_fields(
    client: httpx.AsyncClient, form: dict[str, str], details: list[tuple[str, str]]
) -> None:
    answer = await client.post(f"{API}/access/signin", data=form)
    assert answer.status_code == 422
    assert [(entry["field"], entry["type"]) for entry in answer.json()["details"]] == details


async def test_both_bodies_are_described(client: httpx.AsyncClient) -> None:
    document = (await client.get(f"{API}/openapi.json")).json()
    body = document["paths"][f"{API}/access/signin"]["post"]["requestBody"]
    assert set(body["content"]) == {"application/json", "application/x-www-form-urlencoded"}


async def test_other_media_types_are_refused(athlete: Actor, client: httpx.AsyncClient) -> None:
    parts = {"username": (None, athlete.email), "password": (None, athlete.password)}
    assert (await client.post(f"{API}/access/signin", files=parts)).status_code == 415
    text = {"Content-Type": "text/plain"}
    assert (await client.post(f"{API}/access/signin", content=b"{}", headers=text)).status_code == 415


@pytest.mark.parametrize("body", [b"username=%FF&password=x", b"a&" * 30, b"\xff=\xff"])
async def test_what_is_no_form_is_malformed(client: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post(f"{API}/access/signin", content=body, headers=headers)
    assert answer.status_code == 400


async def test_the_session_is_a_row_and_a_record(
    athlete: Actor, client: httpx.AsyncClient, connection: Connection, valkey: Valkey
) -> None:
    client.headers["User-Agent"] = "Trial/1.0"
    answer = await sign_in(client, athlete.email)
    refresh = cookie(answer, REFRESH).value
    row = await connection.fetchrow("SELECT * FROM user_session WHERE id = $1", sid_of(refresh))
    assert row is not None
    assert (row["user_id"], row["user_agent"], row["revoked_at"]) == (athlete.id, "Trial/1.0", None)
    assert str(row["address"]).startswith("127.0.0.1")
    assert abs(row["expires_at"] - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)
    assert await stored(valkey, sid_of(refresh), "jti") == claims_of(refresh)["jti"]


async def test_wrong_unknown_and_inactive_look_alike(
    athlete: Actor,
    other_athlete: Actor,
    service: Service,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await connection.execute("UPDATE user_account SET is_active = false WHERE id = $1", other_athlete.id)
    verifications = 0
    verify = PasswordHasher.verify

    def counting(hasher: PasswordHasher, stored: str | bytes, password: str | bytes) -> bool:
        nonlocal verifications
        verifications += 1
        return verify(hasher, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counting)
    answers = []
    for address, password in (
        (athlete.email, "Wrong-horse7!"),
        (email(), PASSWORD),
        (other_athlete.email, PASSWORD),
        ("no address at all", PASSWORD),
    ):
        before = verifications
        answers.append(await sign_in(service.client(headers={"X-Request-ID": "same"}), address, password))
        assert verifications == before + 1
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert all("set-cookie" not in answer.headers for answer in answers)


async def test_a_megabyte_of_password_is_simply_wrong(athlete: Actor, client: httpx.AsyncClient) -> None:
    answer = await sign_in(client, athlete.email, "Aa1!" * 250_000)
    assert answer.status_code == 401


async def test_a_password_in_another_normal_form_is_the_same(client: httpx.AsyncClient) -> None:
    address = email()
    composed, decomposed = "Caf\u00e9-horse7!", "Cafe\u0301-horse7!"
    body = {"email": address, "password": decomposed, "confirmPassword": decomposed}
    assert (await client.post(f"{API}/access/signup", json=body)).status_code == 201
    assert (await sign_in(client, address, composed)).status_code == 204


async def test_an_old_hash_is_renewed(athlete: Actor, client: httpx.AsyncClient, connection: Connection) -> None:
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    await connection.execute("UPDATE user_account SET password = $2 WHERE id = $1", athlete.id, old)
    assert (await sign_in(client, athlete.email)).status_code == 204
    renewed = await connection.fetchval("SELECT password FROM user_account WHERE id = $1", athlete.id)
    assert "m=8,t=1,p=1" in renewed
    assert (await sign_in(client, athlete.email)).status_code == 204


async def test_the_oldest_of_fifty_sessions_goes(
    athlete: Actor, client: httpx.AsyncClient, connection: Connection, service: Service
) -> None:
    await connection.execute(
        "INSERT INTO user_session (id, user_id, created_at, last_used_at, expires_at)"
        " SELECT gen_random_uuid(), $1, now() + i * interval '1 second', now(), now() + interval '1 day'"
        " FROM generate_series(1, 49) i",
        athlete.id,
    )
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 200
    assert (await sign_in(client, athlete.email)).status_code == 204
    alive = "SELECT count(*) FROM user_session WHERE user_id = $1 AND revoked_at IS NULL"
    assert await connection.fetchval(alive, athlete.id) == 50
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 401, "the first session was the oldest"
    assert (await client.get(f"{API}/access/me")).status_code == 200


async def test_sixty_sign_ins_at_once_leave_fifty_sessions(
    athlete: Actor, service: Service, connection: Connection
) -> None:
    answers = await asyncio.gather(*(sign_in(service.client(), athlete.email) for _ in range(60)))
    assert {answer.status_code for answer in answers} == {204}
    alive = "SELECT count(*) FROM user_session WHERE user_id = $1 AND revoked_at IS NULL"
    assert await connection.fetchval(alive, athlete.id) == 50


async def test_with_the_hash_pool_held_others_are_answered(make_app: MakeApp, make_actor: MakeActor) -> None:
    athlete = await make_actor()
    app = await make_app(ARGON2_TIME_COST="40", ARGON2_MEMORY_KIB="65536", HASH_WAIT="0.1")
    address, unknown = athlete.email, email()
    first = asyncio.create_task(sign_in(app.client(), unknown))
    await asyncio.sleep(0)
    second = asyncio.create_task(sign_in(app.client(), address))
    assert (await app.client().get("/ping")).text == "OK"
    assert not first.done()
    refused = await second
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await first).status_code == 401


async def test_foreign_origins_may_not_sign_in(athlete: Actor, service: Service) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await sign_in(service.client(headers=headers), athlete.email)).status_code == 403
    allowed = {"Origin": service.settings.app.public_url, "Sec-Fetch-Site": "same-origin"}
    assert (await sign_in(service.client(headers=allowed), athlete.email)).status_code == 204
