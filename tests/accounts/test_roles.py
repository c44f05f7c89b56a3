import asyncio

import httpx
import pytest
from asyncpg import Connection

from app.http.context import API
from tests.accounts.tokens import bearer
from tests.actors import Actor
from tests.conftest import MakeActor, MakeApp
from tests.factories import APITokenFactory
from tests.service import Service

ROLES = f"{API}/roles"
STORED = "SELECT r.slug, u.is_superuser FROM user_account u JOIN role r ON r.id = u.role_id WHERE u.id = $1"


async def change(actor: Actor, verb: str, address: str, slug: str) -> httpx.Response:
    return await actor.client.patch(f"{ROLES}/{address}/{verb}", json={"roleSlug": slug})


async def test_the_list(superuser: Actor) -> None:
    page = (await superuser.client.get(ROLES)).json()
    assert [role["slug"] for role in page["items"]] == ["application-access", "fitness-trainer", "superuser"]
    assert (page["total"], page["limit"], page["offset"]) == (3, 20, 0)
    assert set(page["items"][0]) == {"id", "name", "slug", "description", "createdAt", "updatedAt"}


async def test_are_for_superusers(client: httpx.AsyncClient, athlete: Actor, trainer: Actor) -> None:
    assert (await client.get(ROLES)).status_code == 401
    for actor in (athlete, trainer):
        assert (await actor.client.get(ROLES)).status_code == 403
        for verb in ("assign", "revoke"):
            assert (await change(actor, verb, athlete.email, "fitness-trainer")).status_code == 403


@pytest.mark.parametrize(("slug", "is_superuser"), [("fitness-trainer", False), ("superuser", True)])
async def test_assigning_and_revoking(
    superuser: Actor, athlete: Actor, service: Service, connection: Connection, slug: str, is_superuser: bool
) -> None:
    given = await change(superuser, "assign", athlete.email.upper(), slug)
    assert given.status_code == 200
    assert list(given.json()) == ["message"]
    assert tuple(await connection.fetchrow(STORED, athlete.id)) == (slug, is_superuser)
    me = (await athlete.client.get(f"{API}/access/me")).json()
    assert (me["roleSlug"], me["isSuperuser"]) == (slug, is_superuser)
    token = (await athlete.client.post(f"{API}/access/tokens", json=APITokenFactory.build())).json()["token"]

    taken = await change(superuser, "revoke", athlete.email, slug)

    assert taken.status_code == 200
    assert list(taken.json()) == ["message"]
    assert tuple(await connection.fetchrow(STORED, athlete.id)) == ("application-access", False)
    assert (await athlete.client.get(f"{API}/access/me")).json()["roleSlug"] == "application-access"
    assert (await bearer(service, token).get(f"{API}/access/me")).status_code == 401


async def test_conflicts(superuser: Actor, athlete: Actor, trainer: Actor, connection: Connection) -> None:
    before = await connection.fetch("SELECT * FROM user_account ORDER BY id")
    for verb, actor, slug in (
        ("assign", trainer, "fitness-trainer"),
        ("assign", trainer, "superuser"),
        ("revoke", trainer, "superuser"),
        ("revoke", athlete, "fitness-trainer"),
    ):
        assert (await change(superuser, verb, actor.email, slug)).status_code == 409
    assert await connection.fetch("SELECT * FROM user_account ORDER BY id") == before


async def test_the_second_of_two_at_once_sees_what_the_first_did(
    superuser: Actor, athlete: Actor, connection: Connection
) -> None:
    async with connection.transaction():
        await connection.execute(
            "UPDATE user_account SET role_id = (SELECT id FROM role WHERE slug = 'fitness-trainer') WHERE id = $1",
            athlete.id,
        )
        late = asyncio.create_task(change(superuser, "assign", athlete.email, "fitness-trainer"))
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            pass
    assert (await late).status_code == 409


@pytest.mark.parametrize("verb", ["assign", "revoke"])
async def test_refusals(superuser: Actor, trainer: Actor, connection: Connection, verb: str) -> None:
    assert (await change(superuser, verb, "nobody@example.com", "superuser")).status_code == 404
    assert (await change(superuser, verb, superuser.email, "superuser")).status_code == 403
    assert (await change(superuser, verb, trainer.email, "application-access")).status_code == 422
    assert (await change(superuser, verb, trainer.email, "king")).status_code == 422
    await connection.execute("UPDATE user_account SET is_active = false WHERE id = $1", trainer.id)
    assert (await change(superuser, verb, trainer.email, "fitness-trainer")).status_code == 403
    assert tuple(await connection.fetchrow(STORED, trainer.id)) == ("fitness-trainer", False)


async def test_the_system_administrator_keeps_the_role(
    make_app: MakeApp, make_actor: MakeActor, connection: Connection
) -> None:
    admin = await make_actor("superuser")
    app = await make_app(SYSTEM_ADMIN_EMAIL=admin.email)
    root = await make_actor("superuser", service=app)
    assert (await change(root, "revoke", admin.email, "superuser")).status_code == 403
    assert tuple(await connection.fetchrow(STORED, admin.id)) == ("superuser", True)
