import time
from collections.abc import Callable
from typing import Any

import pytest
from asyncpg import Connection
from joserfc.jwk import OKPKey

from app.http.context import API
from app.security.keys import KeyRing
from tests.accounts.tokens import (
    ACCESS,
    REFRESH,
    bearer,
    held,
    signed,
    signing_key,
    unsigned,
    with_cookies,
    with_payload,
)
from tests.actors import Actor
from tests.service import Service

Forge = Callable[[str, OKPKey], str]

STRANGER = KeyRing.generate().signing_key
OTHER_ID = "018f0000-0000-7000-8000-000000000000"


def altered(token: str, _key: OKPKey) -> str:
    head, _dot, signature = token.rpartition(".")
    flipped = "A" if signature[10] != "A" else "B"
    return f"{head}.{signature[:10]}{flipped}{signature[11:]}"


def at(**offsets: int) -> Callable[[], dict[str, Any]]:
    return lambda: {name: int(time.time()) + offset for name, offset in offsets.items()}


def resigned(changes: Callable[[], dict[str, Any]]) -> Forge:
    return lambda token, key: signed(key, token, **changes())


FORGERIES: dict[str, Forge] = {
    "altered signature": altered,
    "another key": lambda token, _: signed(STRANGER, token),
    "another key, named in the header": lambda token, _: signed(STRANGER, token, {"kid": STRANGER.thumbprint()}),
    "another kid": lambda token, key: signed(key, token, {"kid": "nobody"}),
    "alg none": lambda token, _: unsigned(token, alg="none"),
    "alg none with our signature": lambda token, _: unsigned(token, alg="none") + token.rpartition(".")[2],
    "no signature": lambda token, _: unsigned(token),
    "live jti under the old signature": lambda token, _: with_payload(token, sub=OTHER_ID),
    "another typ": resigned(lambda: {"typ": "device"}),
    "another iss": resigned(lambda: {"iss": "https://evil.example"}),
    "another aud": resigned(lambda: {"aud": "somebody"}),
    "expired": resigned(at(exp=-1)),
    "issued in the future": resigned(at(iat=60)),
    "valid in the future": resigned(at(nbf=60)),
    "another user of the same session": resigned(lambda: {"sub": OTHER_ID}),
    "another session": resigned(lambda: {"sid": OTHER_ID}),
    "no expiry": resigned(lambda: {"exp": None}),
    "no jti": resigned(lambda: {"jti": None}),
    "no sid": resigned(lambda: {"sid": None}),
    "an embedded key": lambda token, _: signed(STRANGER, token, {"jwk": STRANGER.as_dict(private=False)}),
    "garbage": lambda *_: "abc.def.ghi",
    "empty": lambda *_: "",
    "a megabyte": lambda token, _: token + "A" * 1_000_000,
    "two megabytes of dots": lambda *_: "." * 2_000_000,
}


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "after the real one"])
@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
async def test_a_forged_access_token_is_refused(athlete: Actor, service: Service, forge: Forge, warm: bool) -> None:
    real = held(athlete.client, ACCESS)
    if warm:
        assert (await bearer(service, real).get(f"{API}/access/me")).status_code == 200
    forged = forge(real, signing_key(service))
    for client in (bearer(service, forged), with_cookies(service, **{ACCESS: forged})):
        answer = await client.get(f"{API}/access/me")
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert forged[:40] not in answer.text or len(forged) < 40
    assert (await bearer(service, real).get(f"{API}/access/me")).status_code == 200


@pytest.mark.parametrize("forge", [forge for name, forge in FORGERIES.items() if name != "another typ"])
async def test_a_forged_refresh_token_is_refused(
    athlete: Actor, service: Service, connection: Connection, forge: Forge
) -> None:
    real = held(athlete.client, REFRESH)
    forged = forge(real, signing_key(service))
    answer = await with_cookies(service, **{REFRESH: forged}).post(f"{API}/access/refresh-jwt")
    assert answer.status_code == 401
    assert await connection.fetchval("SELECT count(*) FROM user_session WHERE revoked_at IS NULL") == 1
    assert (await with_cookies(service, **{REFRESH: real}).post(f"{API}/access/refresh-jwt")).status_code == 204


async def test_an_access_token_does_not_refresh(athlete: Actor, service: Service) -> None:
    access = held(athlete.client, ACCESS)
    assert (await with_cookies(service, **{REFRESH: access}).post(f"{API}/access/refresh-jwt")).status_code == 401


async def test_a_refresh_token_gives_no_access(athlete: Actor, service: Service) -> None:
    refresh = held(athlete.client, REFRESH)
    assert (await bearer(service, refresh).get(f"{API}/access/me")).status_code == 401
    assert (await with_cookies(service, **{ACCESS: refresh}).get(f"{API}/access/me")).status_code == 401


async def test_the_clock_may_differ_by_ten_seconds(athlete: Actor, service: Service) -> None:
    soon = int(time.time()) + 8
    token = signed(signing_key(service), held(athlete.client, ACCESS), iat=soon, nbf=soon)
    assert (await bearer(service, token).get(f"{API}/access/me")).status_code == 200


async def test_a_bad_header_is_not_made_good_by_a_cookie(athlete: Actor) -> None:
    answer = await athlete.client.get(f"{API}/access/me", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401
