from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest
from asyncpg import Connection

from app.http.context import API
from tests.actors import Actor
from tests.statements import Statements


async def test_my_account(athlete: Actor, superuser: Actor) -> None:
    answer = await athlete.client.get(f"{API}/access/me")
    assert answer.status_code == 200
    assert answer.json() == {
        "id": str(athlete.id),
        "name": "Ada",
        "email": athlete.email,
        "isActive": True,
        "isSuperuser": False,
        "roleSlug": "application-access",
        "timezone": "UTC",
        "weightUnit": "kg",
        "distanceUnit": "km",
    }
    assert answer.headers["Cache-Control"] == "no-store"
    other = (await superuser.client.get(f"{API}/access/me")).json()
    assert (other["isSuperuser"], other["roleSlug"]) == (True, "superuser")


async def test_costs_no_statement_once_warm(
    athlete: Actor, statements: Callable[[], AbstractContextManager[Statements]]
) -> None:
    await athlete.client.get(f"{API}/access/me")
    with statements() as sent:
        assert (await athlete.client.get(f"{API}/access/me")).status_code == 200
    assert sent == []


async def test_needs_a_sign_in(client: httpx.AsyncClient) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        answer = await client.request(method, f"{API}/access/me", json={})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_changes_show_at_once(athlete: Actor, connection: Connection) -> None:
    before = await athlete.client.get(f"{API}/access/me")
    changes = {"name": " Ada  King ", "timezone": "europe/berlin", "weightUnit": "lb", "distanceUnit": "mi"}
    answer = await athlete.client.patch(f"{API}/access/me", json=changes)
    assert answer.status_code == 200
    expected = {**before.json(), **changes, "name": "Ada King", "timezone": "Europe/Berlin"}
    assert answer.json() == expected
    after = await athlete.client.get(f"{API}/access/me")
    assert after.json() == expected
    assert after.headers["ETag"] == answer.headers["ETag"] != before.headers["ETag"]
    row = await connection.fetchrow("SELECT * FROM user_account WHERE id = $1", athlete.id)
    assert row is not None
    assert (row["name"], row["timezone"], row["weight_unit"], row["distance_unit"]) == (
        "Ada King",
        "Europe/Berlin",
        "lb",
        "mi",
    )


async def test_absent_keeps_and_null_clears(athlete: Actor) -> None:
    before = (await athlete.client.get(f"{API}/access/me")).json()
    assert (await athlete.client.patch(f"{API}/access/me", json={})).json() == before
    assert (await athlete.client.patch(f"{API}/access/me", json={"name": None})).json() == {**before, "name": None}


async def test_get_then_patch_works(athlete: Actor) -> None:
    me = (await athlete.client.get(f"{API}/access/me")).json()
    answer = await athlete.client.patch(f"{API}/access/me", json={**me, "isSuperuser": True, "email": "x"})
    assert answer.status_code == 200
    assert answer.json() == me, "read-only fields are ignored"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"timezone": "Europe/Atlantis"}, "enum"),
        ({"timezone": "localtime"}, "enum"),
        ({"timezone": "+02:00"}, "enum"),
        ({"timezone": "CET-1CEST"}, "enum"),
        ({"timezone": " Europe/Berlin"}, "enum"),
        ({"timezone": "x" * 51}, "length"),
        ({"timezone": None}, "null"),
        ({"weightUnit": "stone"}, "enum"),
        ({"weightUnit": None}, "null"),
        ({"distanceUnit": 1}, "type"),
        ({"name": "a\u0000b"}, "pattern"),
        ({"name": "x" * 256}, "length"),
        ({"password": "Correct-horse7!"}, "unknown"),
    ],
)
async def test_a_broken_rule_stores_nothing(
    athlete: Actor, connection: Connection, change: dict[str, object], kind: str
) -> None:
    before = await connection.fetchrow("SELECT * FROM user_account WHERE id = $1", athlete.id)
    answer = await athlete.client.patch(f"{API}/access/me", json={"name": "New", **change})
    assert answer.status_code == 422
    assert [(entry["field"], entry["type"]) for entry in answer.json()["details"]] == [(next(iter(change)), kind)]
    assert await connection.fetchrow("SELECT * FROM user_account WHERE id = $1", athlete.id) == before


async def test_if_match_that_does_not_fit_changes_nothing(athlete: Actor) -> None:
    first = await athlete.client.get(f"{API}/access/me")
    tag = first.headers["ETag"]
    ok = await athlete.client.patch(f"{API}/access/me", json={"name": "One"}, headers={"If-Match": tag})
    assert ok.status_code == 200
    stale = await athlete.client.patch(f"{API}/access/me", json={"name": "Two"}, headers={"If-Match": tag})
    assert stale.status_code == 412
    assert (await athlete.client.get(f"{API}/access/me")).json()["name"] == "One"


async def test_if_none_match_is_short(athlete: Actor) -> None:
    tag = (await athlete.client.get(f"{API}/access/me")).headers["ETag"]
    answer = await athlete.client.get(f"{API}/access/me", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")
