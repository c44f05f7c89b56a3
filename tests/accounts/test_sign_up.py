import httpx
import pytest
from asyncpg import Connection

from app.http.context import API
from tests.factories import PASSWORD, email


def body(**changes: object) -> dict[str, object]:
    return {"email": email(), "password": PASSWORD, "confirmPassword": PASSWORD, **changes}


async def test_makes_an_ordinary_account(client: httpx.AsyncClient, connection: Connection) -> None:
    address = email()
    answer = await client.post(
        f"{API}/access/signup", json=body(email=f" {address.upper()} ", name="  Ada   Lovelace ")
    )
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{API}/access/me"
    user = answer.json()
    assert user == {
        "id": user["id"],
        "name": "Ada Lovelace",
        "email": address,
        "isActive": True,
        "isSuperuser": False,
        "roleName": "Application access",
        "roleSlug": "application-access",
        "createdAt": user["createdAt"],
        "updatedAt": user["updatedAt"],
    }
    assert user["createdAt"].endswith("Z")
    row = await connection.fetchrow("SELECT * FROM user_account WHERE email = $1", address)
    assert row is not None
    assert row["password"].startswith("$argon2id$")
    assert (row["is_superuser"], row["timezone"], row["weight_unit"], row["distance_unit"]) == (
        False,
        "UTC",
        "kg",
        "km",
    )


async def test_the_name_may_be_left_out(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/access/signup", json=body())
    assert answer.status_code == 201
    assert answer.json()["name"] is None


async def test_a_taken_email_is_a_conflict_in_any_case(client: httpx.AsyncClient, connection: Connection) -> None:
    first = body()
    assert (await client.post(f"{API}/access/signup", json=first)).status_code == 201
    second = await client.post(f"{API}/access/signup", json={**first, "email": str(first["email"]).upper()})
    assert second.status_code == 409
    assert second.headers["content-type"] == "application/problem+json"
    assert await connection.fetchval("SELECT count(*) FROM user_account WHERE email = $1", first["email"]) == 1


@pytest.mark.parametrize(
    ("password", "kind"),
    [
        ("Aa1!" * 2 + "x", None),
        ("Aa1!aa1", "length"),
        ("Aa1!" + "a" * 125, "length"),
        ("Aa1!" + "a" * 124, None),
        ("AAAA111!", "pattern"),
        ("aaaa111!", "pattern"),
        ("Aaaaaaa!", "pattern"),
        ("Aaaaaaa1", "pattern"),
        ("Ää1! ñandú 你好", None),
    ],
)
async def test_the_rules_of_passwords(client: httpx.AsyncClient, password: str, kind: str | None) -> None:
    answer = await client.post(f"{API}/access/signup", json=body(password=password, confirmPassword=password))
    if kind is None:
        assert answer.status_code == 201
    else:
        assert answer.status_code == 422
        assert [(entry["field"], entry["type"]) for entry in answer.json()["details"]] == [("password", kind)]
        assert password not in answer.text


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"confirmPassword": "Another-horse7!"}, {"confirmPassword"}),
        ({"email": "nobody", "password": "short"}, {"email", "password"}),
        ({"email": f"{'a' * 250}@example.com"}, {"email"}),
        ({"email": None}, {"email"}),
        ({"name": ""}, {"name"}),
        ({"name": "x" * 256}, {"name"}),
        ({"isSuperuser": True}, {"isSuperuser"}),
    ],
)
async def test_every_broken_field_is_named(
    client: httpx.AsyncClient, connection: Connection, changes: dict[str, object], fields: set[str]
) -> None:
    before = await connection.fetchval("SELECT count(*) FROM user_account")
    answer = await client.post(f"{API}/access/signup", json=body(**changes))
    assert answer.status_code == 422
    assert {entry["field"] for entry in answer.json()["details"]} == fields
    assert await connection.fetchval("SELECT count(*) FROM user_account") == before


async def test_a_megabyte_of_password_is_refused(client: httpx.AsyncClient) -> None:
    long = "Aa1!" * 250_000
    answer = await client.post(f"{API}/access/signup", json=body(password=long, confirmPassword=long))
    assert answer.status_code == 422
    assert answer.json()["details"][0]["type"] == "length"


async def test_signs_nobody_in(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/access/signup", json=body())
    assert "set-cookie" not in answer.headers
    assert (await client.get(f"{API}/access/me")).status_code == 401
