import asyncio

import httpx

from app.http.context import API
from tests.accounts.tokens import DEVICE, held
from tests.conftest import MakeActor, MakeApp
from tests.factories import PASSWORD, email
from tests.service import Service

WRONG = "Wrong-horse7!"


async def sign_in(client: httpx.AsyncClient, address: str, password: str) -> httpx.Response:
    return await client.post(f"{API}/access/signin", json={"email": address, "password": password})


def from_everywhere(service: Service, number: int) -> httpx.AsyncClient:
    return service.client(address=f"192.0.2.{number}")


def assert_throttled(answer: httpx.Response) -> None:
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["X-RateLimit-Remaining"] == "0"


async def test_ten_failures_of_an_account_from_anywhere(make_app: MakeApp, make_actor: MakeActor) -> None:
    athlete = await make_actor()
    apps = [await make_app(RATE_LIMIT_SIGN_IN="10") for _ in range(2)]
    for number in range(10):
        answer = await sign_in(from_everywhere(apps[number % 2], number), athlete.email.upper(), WRONG)
        assert answer.status_code == 401
    assert_throttled(await sign_in(from_everywhere(apps[0], 11), athlete.email, WRONG))
    assert_throttled(await sign_in(from_everywhere(apps[1], 12), athlete.email, PASSWORD))
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 200, "sessions are not touched"


async def test_an_unknown_account_is_counted_alike(make_app: MakeApp) -> None:
    app = await make_app(RATE_LIMIT_SIGN_IN="10")
    unknown = email()
    for number in range(10):
        assert (await sign_in(from_everywhere(app, number), unknown, WRONG)).status_code == 401
    assert_throttled(await sign_in(from_everywhere(app, 11), unknown, WRONG))


async def test_successes_do_not_count(make_app: MakeApp, make_actor: MakeActor) -> None:
    athlete = await make_actor()
    app = await make_app(RATE_LIMIT_SIGN_IN="3")
    for number in range(7):
        assert (await sign_in(from_everywhere(app, number), athlete.email, PASSWORD)).status_code == 204


async def test_a_known_device_is_not_locked_out(make_app: MakeApp, make_actor: MakeActor) -> None:
    app = await make_app(RATE_LIMIT_SIGN_IN="10")
    athlete = await make_actor(service=app)
    await athlete.client.post(f"{API}/access/logout")
    device = held(athlete.client, DEVICE)
    for number in range(1, 11):
        await sign_in(from_everywhere(app, number), athlete.email, WRONG)
    assert_throttled(await sign_in(from_everywhere(app, 20), athlete.email, PASSWORD))
    assert (await sign_in(athlete.client, athlete.email, PASSWORD)).status_code == 204
    forged = app.client(address="192.0.2.30", headers={"Cookie": f"{DEVICE}={device[:-4]}AAAA"})
    assert_throttled(await sign_in(forged, athlete.email, PASSWORD))


async def test_the_device_of_another_account_does_not_help(make_app: MakeApp, make_actor: MakeActor) -> None:
    app = await make_app(RATE_LIMIT_SIGN_IN="10")
    victim, attacker = await make_actor(), await make_actor()
    client = app.client(address="192.0.2.99")
    assert (await sign_in(client, attacker.email, PASSWORD)).status_code == 204
    for number in range(10):
        await sign_in(from_everywhere(app, number), victim.email, WRONG)
    assert_throttled(await sign_in(client, victim.email, PASSWORD))


async def test_ten_tries_of_an_address(make_app: MakeApp) -> None:
    app = await make_app(RATE_LIMIT_SIGN_IN="10")
    client = app.client(address="192.0.2.1")
    body = {"password": PASSWORD, "confirmPassword": PASSWORD}
    for number in range(10):
        if number % 2:
            assert (await client.post(f"{API}/access/signup", json={"email": email(), **body})).status_code == 201
        else:
            assert (await sign_in(client, email(), WRONG)).status_code == 401
    assert_throttled(await sign_in(client, email(), WRONG))
    assert_throttled(await client.post(f"{API}/access/signup", json={"email": email(), **body}))
    assert (await sign_in(app.client(address="192.0.2.2"), email(), WRONG)).status_code == 401


async def test_a_hundred_at_once_are_ten_checks(make_app: MakeApp, make_actor: MakeActor) -> None:
    athlete = await make_actor()
    app = await make_app(RATE_LIMIT_SIGN_IN="10")
    tries = (sign_in(from_everywhere(app, number), athlete.email, WRONG) for number in range(100))
    statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert (statuses.count(401), statuses.count(429)) == (10, 90)
