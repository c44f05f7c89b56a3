import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from asyncpg import Connection

from app.db.base import uuid7
from app.http.context import API
from tests.accounts.tokens import ACCESS, bearer, held
from tests.actors import Actor, sign_in
from tests.conftest import MakeActor, MakeApp
from tests.factories import PASSWORD, APITokenFactory, NewUserFactory, email
from tests.service import Service

USERS = f"{API}/users"
NOBODY = "018f0000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", ""), ("GET", "/{id}"), ("PATCH", "/{id}"), ("DELETE", "/{id}")]
)
async def test_are_for_superusers(
    client: httpx.AsyncClient, athlete: Actor, trainer: Actor, connection: Connection, method: str, path: str
) -> None:
    before = await connection.fetch("SELECT * FROM user_account ORDER BY id")
    url = USERS + path.format(id=trainer.id)
    assert (await client.request(method, url, json=NewUserFactory.build())).status_code == 401
    for actor in (athlete, trainer):
        assert (await actor.client.request(method, url, json=NewUserFactory.build())).status_code == 403
    assert await connection.fetch("SELECT * FROM user_account ORDER BY id") == before


async def test_creating(superuser: Actor, service: Service) -> None:
    body = NewUserFactory.build(name="Grace")
    answer = await superuser.client.post(USERS, json=body)
    assert answer.status_code == 201
    user = answer.json()
    assert answer.headers["Location"] == f"{USERS}/{user['id']}"
    assert (user["email"], user["name"], user["isActive"], user["isSuperuser"], user["roleSlug"]) == (
        body["email"],
        "Grace",
        True,
        False,
        "application-access",
    )
    assert (await superuser.client.get(answer.headers["Location"])).json() == user
    await sign_in(service.client(), user["email"])
    assert (await superuser.client.post(USERS, json=body)).status_code == 409


async def test_creating_a_superuser_gives_the_role(superuser: Actor) -> None:
    user = (await superuser.client.post(USERS, json=NewUserFactory.build(isSuperuser=True, isActive=False))).json()
    assert (user["isSuperuser"], user["roleSlug"], user["isActive"]) == (True, "superuser", False)


async def test_creating_names_every_broken_field(superuser: Actor) -> None:
    body = {"email": "x", "password": "short", "isActive": None, "role": "y"}
    answer = await superuser.client.post(USERS, json=body)
    assert answer.status_code == 422
    assert {entry["field"] for entry in answer.json()["details"]} == {"email", "password", "isActive", "role"}


async def test_creating_twice_with_a_key_is_creating_once(superuser: Actor, connection: Connection) -> None:
    body, headers = NewUserFactory.build(), {"Idempotency-Key": "once"}
    first = await superuser.client.post(USERS, json=body, headers=headers)
    second = await superuser.client.post(USERS, json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert await connection.fetchval("SELECT count(*) FROM user_account WHERE email = $1", body["email"]) == 1


async def make_people(connection: Connection) -> None:
    people = [
        (uuid7(), "anna", "zoe@x.example", True, datetime(2026, 1, 1, tzinfo=UTC)),
        (uuid7(), "Bert", "y%y@x.example", False, datetime(2026, 1, 2, tzinfo=UTC)),
        (uuid7(), None, "nameless@x.example", True, datetime(2026, 1, 3, tzinfo=UTC)),
        (uuid7(), "Ärmel", "a_b@x.example", True, datetime(2026, 1, 4, tzinfo=UTC)),
    ]
    await connection.executemany(
        "INSERT INTO user_account (id, name, email, is_active, created_at, password, role_id)"
        " SELECT $1, $2, $3, $4, $5, 'x', id FROM role WHERE slug = 'application-access'",
        people,
    )


@pytest.mark.parametrize(
    ("query", "emails"),
    [
        ("", ["zoe", "y%y", "nameless", "a_b"]),
        ("orderBy=name", ["zoe", "y%y", "a_b", "nameless"]),
        ("orderBy=name&sortOrder=desc", ["a_b", "y%y", "zoe", "nameless"]),
        ("orderBy=email", ["a_b", "nameless", "y%y", "zoe"]),
        ("orderBy=createdAt&sortOrder=desc", ["a_b", "nameless", "y%y", "zoe"]),
        ("isActive=false", ["y%y"]),
        ("createdBefore=2026-01-02T00:00:00Z", ["zoe"]),
        ("createdAfter=2026-01-03T01:00:00%2B01:00", ["a_b"]),
        ("searchString=BERT", ["y%y"]),
        ("searchString=%25", ["y%y"]),
        ("searchString=_b", ["a_b"]),
        ("searchString=%C3%84RM", ["a_b"]),
        ("searchString=nobody", []),
    ],
)
async def test_listing(superuser: Actor, connection: Connection, query: str, emails: list[str]) -> None:
    await make_people(connection)
    answer = await superuser.client.get(f"{USERS}?{query}")
    assert answer.status_code == 200
    found = [user["email"].partition("@")[0] for user in answer.json()["items"] if user["email"].endswith("@x.example")]
    assert found == emails


async def test_pages(superuser: Actor, connection: Connection) -> None:
    await make_people(connection)
    seen = []
    for number in (1, 2, 3, 4):
        page = (await superuser.client.get(f"{USERS}?currentPage={number}&pageSize=2")).json()
        assert (page["total"], page["limit"], page["offset"]) == (5, 2, 2 * (number - 1))
        seen += [user["email"] for user in page["items"]]
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("orderBy=password", "orderBy"),
        ("sortOrder=up", "sortOrder"),
        ("pageSize=101", "pageSize"),
        ("currentPage=0", "currentPage"),
        ("currentPage=101&pageSize=100", "currentPage"),
        ("createdBefore=2026-01-02", "createdBefore"),
        ("createdBefore=2026-01-02T00:00:00", "createdBefore"),
        ("createdAfter=9999-12-31T23:59:59-12:00", "createdAfter"),
        ("isActive=maybe", "isActive"),
        ("role=x", "role"),
        ("searchString=a%00b", "searchString"),
    ],
)
async def test_bad_filters_are_named(superuser: Actor, query: str, field: str) -> None:
    answer = await superuser.client.get(f"{USERS}?{query}")
    assert answer.status_code == 422
    assert [entry["field"] for entry in answer.json()["details"]] == [field]


async def test_a_bad_instant_is_explained(superuser: Actor) -> None:
    answer = await superuser.client.get(f"{USERS}?createdBefore=2026-01-02T00:00:00&createdAfter=1900-01-01T00:00:00Z")
    assert [(entry["field"], entry["type"]) for entry in answer.json()["details"]] == [
        ("createdBefore", "pattern"),
        ("createdAfter", "range"),
    ]
    assert "offset" in answer.json()["details"][0]["message"]


async def test_no_answer_has_a_password(superuser: Actor, athlete: Actor) -> None:
    for url in (USERS, f"{USERS}/{athlete.id}"):
        text = (await superuser.client.get(url)).text
        assert "argon2" not in text
        assert "password" not in text


async def test_changing(superuser: Actor, athlete: Actor, connection: Connection) -> None:
    before = await superuser.client.get(f"{USERS}/{athlete.id}")
    address = email()
    answer = await superuser.client.patch(
        f"{USERS}/{athlete.id}",
        json={**before.json(), "name": None, "email": address.upper()},
        headers={"If-Match": before.headers["ETag"]},
    )
    assert answer.status_code == 200
    assert answer.json() == {**before.json(), "name": None, "email": address, "updatedAt": answer.json()["updatedAt"]}
    assert answer.headers["ETag"] != before.headers["ETag"]
    assert (await athlete.client.get(f"{API}/access/me")).json()["email"] == address, "in the very next request"
    stale = await superuser.client.patch(
        f"{USERS}/{athlete.id}", json={"name": "X"}, headers={"If-Match": before.headers["ETag"]}
    )
    assert stale.status_code == 412
    assert await connection.fetchval("SELECT name FROM user_account WHERE id = $1", athlete.id) is None


async def test_changing_to_a_taken_email(superuser: Actor, athlete: Actor, other_athlete: Actor) -> None:
    answer = await superuser.client.patch(f"{USERS}/{athlete.id}", json={"email": other_athlete.email})
    assert answer.status_code == 409


async def test_a_new_password_ends_the_users_sessions(superuser: Actor, athlete: Actor, service: Service) -> None:
    token = (await athlete.client.post(f"{API}/access/tokens", json=APITokenFactory.build())).json()["token"]
    answer = await superuser.client.patch(f"{USERS}/{athlete.id}", json={"password": "New-battery_9"})
    assert answer.status_code == 200
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 401
    assert (await bearer(service, token).get(f"{API}/access/me")).status_code == 401
    await sign_in(service.client(), athlete.email, "New-battery_9")


async def test_deactivation_ends_sessions_for_good(
    superuser: Actor, athlete: Actor, service: Service, connection: Connection
) -> None:
    access = held(athlete.client, ACCESS)
    for is_active, status in ((False, 401), (True, 401)):
        answer = await superuser.client.patch(f"{USERS}/{athlete.id}", json={"isActive": is_active})
        assert answer.json()["isActive"] is is_active
        assert (await bearer(service, access).get(f"{API}/access/me")).status_code == status
    await sign_in(service.client(), athlete.email)


async def test_promotion_and_demotion_move_flag_and_role(superuser: Actor, trainer: Actor) -> None:
    me = f"{API}/access/me"
    for flag, role in ((True, "superuser"), (False, "application-access")):
        answer = await superuser.client.patch(f"{USERS}/{trainer.id}", json={"isSuperuser": flag})
        assert (answer.json()["isSuperuser"], answer.json()["roleSlug"]) == (flag, role)
        assert (await trainer.client.get(me)).json()["roleSlug"] == role
        assert (await trainer.client.get(USERS)).status_code == (200 if flag else 403)


async def test_saying_again_that_a_trainer_is_no_superuser_keeps_the_role(superuser: Actor, trainer: Actor) -> None:
    answer = await superuser.client.patch(f"{USERS}/{trainer.id}", json={"isSuperuser": False})
    assert answer.json()["roleSlug"] == "fitness-trainer"


async def test_unknown_users(superuser: Actor) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        assert (await superuser.client.request(method, f"{USERS}/{NOBODY}", json={})).status_code == 404
        assert (await superuser.client.request(method, f"{USERS}/x", json={})).status_code == 404


async def test_deleting(superuser: Actor, athlete: Actor, connection: Connection) -> None:
    assert (await superuser.client.delete(f"{USERS}/{athlete.id}")).status_code == 204
    assert not await connection.fetchval("SELECT count(*) FROM user_account WHERE id = $1", athlete.id)
    assert (await superuser.client.get(f"{USERS}/{athlete.id}")).status_code == 404
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 401


@pytest.mark.parametrize("weakening", [{"isActive": False}, {"isSuperuser": False}, None])
async def test_nobody_weakens_oneself_or_the_system_administrator(
    make_app: MakeApp, make_actor: MakeActor, connection: Connection, weakening: dict[str, object] | None
) -> None:
    admin = await make_actor("superuser")
    app = await make_app(SYSTEM_ADMIN_EMAIL=admin.email.upper())
    root = await make_actor("superuser", service=app)
    before = await connection.fetch("SELECT * FROM user_account ORDER BY id")
    for target in (root, admin):
        assert await weaken(root, target, weakening) == 403
    assert await weaken(root, admin, {"email": email()}) == 403
    assert await connection.fetch("SELECT * FROM user_account ORDER BY id") == before


async def test_ones_own_password_needs_the_current_one(superuser: Actor) -> None:
    answer = await superuser.client.patch(f"{USERS}/{superuser.id}", json={"password": "New-battery_9"})
    assert answer.status_code == 403


async def weaken(actor: Actor, target: Actor, change: Mapping[str, object] | None) -> int:
    """Change an account, or delete it."""
    url = f"{USERS}/{target.id}"
    return (await (actor.client.patch(url, json=change) if change else actor.client.delete(url))).status_code


async def test_two_superusers_who_demote_each_other_leave_one(
    make_actor: MakeActor, connection: Connection, make_app: MakeApp
) -> None:
    other = await make_app()
    left = "SELECT count(*) FROM user_account WHERE is_superuser AND is_active"
    for weakening in ({"isSuperuser": False}, {"isActive": False}, None):
        await connection.execute("DELETE FROM user_account WHERE is_superuser")
        first, second = await make_actor("superuser"), await make_actor("superuser", service=other)

        statuses = await asyncio.gather(weaken(first, second, weakening), weaken(second, first, weakening))
        assert min(statuses) < 300
        assert max(statuses) in (401, 403, 409)
        assert await connection.fetchval(left) == 1


async def test_the_last_active_superuser_stays(superuser: Actor, connection: Connection) -> None:
    answer = await superuser.client.request("DELETE", f"{API}/access/me", json={"password": PASSWORD})
    assert answer.status_code == 409
    assert (await superuser.client.get(f"{API}/access/me")).status_code == 200
    assert await connection.fetchval("SELECT count(*) FROM user_account WHERE is_superuser AND is_active") == 1
    later = datetime.now(UTC) + timedelta(days=1)
    row = await connection.fetchrow("SELECT revoked_at, expires_at FROM user_session WHERE user_id = $1", superuser.id)
    assert row is not None
    assert row["revoked_at"] is None, "all of it was rolled back"
    assert row["expires_at"] > later
